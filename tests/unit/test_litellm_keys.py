"""Keys go where they are named for: no client sends a server anything of the environment that is not named for it.

Every credential that litellm is known to read is set to a canary; the server on loopback keeps what it is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from agentsoc.backends import secrets
from agentsoc.backends.embedding import ServerEmbedder
from agentsoc.backends.litellm import LiteLLM
from agentsoc.backends.providers import AT_BASE_URL, OPENAI_EXTRAS, PROVIDERS
from agentsoc.contracts.model import CallError, Request
from agentsoc.errors import BackendSetupError
from tests.canary import Canary

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of litellm's models of providers' formats

MARK = "canary"
CREDENTIAL = re.compile(r"""["']([A-Z][A-Z0-9]*_[A-Z0-9_]*(?:KEY|KEY_ID|TOKEN|SECRET|CREDENTIALS?|PASSWORD|JWT))["']""")
MORE = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "WATSONX_PROJECT_ID", "PREDIBASE_TENANT_ID")
NUMBERS = re.compile(r"LENGTH|MAX_|_COUNT|^LITELLM_(?!PROXY_API_KEY)|^REDIS|^DEFAULT_")
"""Names that look like credentials and are settings of litellm itself."""


def credentials() -> list[str]:
    """Return the names of all environment variables in litellm's source that look like a credential."""
    import importlib.util

    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    files = [
        root / "main.py",
        root / "utils.py",
        *(root / "llms").rglob("*.py"),
        *(root / "secret_managers").glob("*.py"),
    ]
    files += (root / "litellm_core_utils").glob("*.py")
    found = {name for file in files for name in CREDENTIAL.findall(file.read_text(errors="replace"))}
    return sorted(name for name in {*found, *MORE} if not NUMBERS.search(name))


@pytest.fixture(autouse=True)
def _canaries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in list(os.environ):
        if name.endswith(("_API_BASE", "_BASE_URL")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    for name in (*OPENAI_EXTRAS, "USE_LITELLM_PROXY", "no_proxy", "NO_PROXY", "AIOHTTP_TRUST_ENV"):
        monkeypatch.delenv(name, raising=False)
    names = credentials()
    assert {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "AZURE_CLIENT_SECRET"} <= set(names)
    for name in names:
        monkeypatch.setenv(name, f"{MARK}-{name}-{MARK}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "")  # put back afterwards, whatever a backend adds
    monkeypatch.setenv("NAMED", "the-named-key-0123456789")
    yield
    secrets.forget()


def ask(model: LiteLLM) -> str:
    """Make one call; return the text, or nothing where the provider's own format makes the answer unreadable."""

    async def act() -> str:
        backend = model.open(seed=0)
        try:
            await backend.start()
            return (await asyncio.wait_for(backend.complete(Request.of("Be brief.", "Hello.", 8, 0.5, 11)), 20)).text
        except CallError:
            return ""
        finally:
            await backend.close()

    return asyncio.run(act())


@pytest.fixture
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse every name but those of this machine, and keep what was asked for."""
    asked: list[str] = []
    known = socket.getaddrinfo

    def only_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, bytes):
            host = host.decode()
        if host not in ("127.0.0.1", "localhost", "::1", None):
            asked.append(str(host))
            raise socket.gaierror(f"no {host} here")
        return known(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)
    return asked


@pytest.mark.parametrize("variable", [None, "NAMED"])
@pytest.mark.parametrize("name", sorted(AT_BASE_URL))
def test_a_server_at_base_url_is_sent_the_named_key_and_nothing_else(
    name: str, variable: str | None, nowhere_else: list[str]
) -> None:
    model = {"anthropic": "claude-3-5-sonnet-20240620", "cohere_chat": "command-r"}.get(name, "some-model")
    with Canary() as server:
        for client in ("litellm", "lean") if name in ("openai", "hosted_vllm") else ("litellm",):
            server.sent.clear()
            settings: dict[str, Any] = {"client": client, "api_key_env": variable}
            ask(LiteLLM(name=f"{name}/{model}", base_url=server.base_url, **settings))
            assert server.sent
            assert not [one.text for one in server.sent if MARK in one.text]
            found = {key for one in server.sent for key in re.findall("the-named-key-[0-9]+", one.text)}
            assert found == ({"the-named-key-0123456789"} if variable else set())
    assert nowhere_else == []


@pytest.mark.parametrize("name", ["databricks", "gigachat", "watsonx", "predibase", "bedrock", "azure", "vertex_ai"])
def test_a_provider_that_may_add_credentials_of_its_own_gets_no_base_url(name: str) -> None:
    with Canary() as server:
        with pytest.raises(BackendSetupError, match="openai/MODEL"):
            ask(LiteLLM(name=f"{name}/m", base_url=server.base_url, api_key_env="NAMED"))
        assert server.sent == []


@pytest.mark.parametrize("extra", OPENAI_EXTRAS)
def test_what_openais_client_adds_by_itself_is_not_sent_to_another_server(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(extra, f"X-Organisation: {MARK}")
    with Canary() as server:
        with pytest.raises(BackendSetupError, match=extra):
            ask(LiteLLM(name="openai/m", base_url=server.base_url, client="litellm"))
        assert server.sent == []
        assert ask(LiteLLM(name="openai/m", base_url=server.base_url))  # the lean client adds nothing
        assert MARK not in server.sent[0].text


@pytest.mark.parametrize(("name", "client"), [("openai", "lean"), ("openai", "litellm"), ("anthropic", "litellm")])
def test_a_redirect_is_not_followed(name: str, client: Any) -> None:
    with Canary() as stranger, Canary(redirect=f"http://localhost:{stranger.port}") as server:
        assert ask(LiteLLM(name=f"{name}/m", base_url=server.base_url, api_key_env="NAMED", client=client)) == ""
        assert len(server.sent) == 1
        assert stranger.sent == []


@pytest.mark.parametrize(("name", "client"), [("openai", "lean"), ("openai", "litellm"), ("anthropic", "litellm")])
@pytest.mark.parametrize("trusting", ["False", "True"])
def test_a_proxy_is_not_sent_what_is_for_this_machine(
    name: str, client: Any, trusting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Canary() as proxy, Canary() as server:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("AIOHTTP_TRUST_ENV", trusting)
        monkeypatch.setenv("no_proxy", "example.org")
        ask(LiteLLM(name=f"{name}/m", base_url=server.base_url, api_key_env="NAMED", client=client))
        assert server.keys == {"the-named-key-0123456789"}
        assert proxy.sent == []
        assert os.environ["no_proxy"].startswith("example.org")
        embedder = ServerEmbedder("m", server.base_url, "NAMED")
        with contextlib.suppress(BackendSetupError):
            embedder.embed(["x"])
        assert server.sent[-1].path == "/v1/embeddings"
        assert proxy.sent == []


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_provider_is_sent_to_where_its_destination_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved to loopback by the variable that is said to move it, with the key of the variable that is said to go."""
    with Canary() as server:
        monkeypatch.setenv(PROVIDERS[name].moved_by[0], server.base_url)
        model = LiteLLM(name=f"{name}/some-model", structured="none")
        [place] = model.destinations()
        assert place.address == server.base_url
        ask(model)
        assert server.sent
        key = f"{MARK}-{place.variable}-{MARK}"
        assert any(key in one.text for one in server.sent if one.method == "POST")  # a look-up may do without
        others = {found for one in server.sent for found in re.findall(f"{MARK}-([A-Z0-9_]+)-{MARK}", one.text)}
        assert others == {place.variable}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extra": {"api_base": "http://evil"}}, "api_base"),
        ({"extra": {"extra_headers": {"x": "y"}}}, "extra_headers"),
        ({"extra": {"azure_ad_token": "x"}}, "azure_ad_token"),
        ({"extra": {"aws_region_name": "x"}}, "aws_region_name"),
        ({"extra": {"vertex_credentials": "x"}}, "vertex_credentials"),
        ({"extra": {"custom_llm_provider": "x"}}, "custom_llm_provider"),
        ({"extra": {"knob": ["os.environ/AWS_SECRET_ACCESS_KEY"]}}, "environment"),
        ({"extra": {"knob": {"a": "oidc/env/OPENAI_API_KEY"}}}, "environment"),
        ({"base_url": "http://127.0.0.1\\@evil/v1"}, "plain ASCII"),
        ({"base_url": "http://１２７.0.0.1/v1"}, "plain ASCII"),
        ({"base_url": "http://127.0.0.1\t/v1"}, "plain ASCII"),
    ],
)
def test_settings_that_would_lead_litellm_elsewhere_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LiteLLM(**{"name": "anthropic/m", **settings})


def test_what_a_provider_takes_in_its_body_may_still_be_set() -> None:
    extra = {"provider": {"order": ["a"]}, "top_k": 3, "session_id": "x", "safe_prompt": True}
    assert LiteLLM(name="openrouter/m", extra=extra).extra == extra
    lean = LiteLLM(name="openai/m", base_url="http://127.0.0.1:9/v1", extra={"token": 3})
    assert lean.extra == {"token": 3}, "the lean client puts it into the body and nowhere else"
