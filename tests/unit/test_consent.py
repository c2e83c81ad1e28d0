"""The rule of consent: what needs it, what counts as it, how it is remembered; and what models say of themselves."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from agentsoc.backends.litellm import LiteLLM
from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import Backend, Completion, Model, Request, Usage
from agentsoc.contracts.part import Slot
from agentsoc.engine import agreed, consent
from agentsoc.engine.agreed import config_directory, remember, remembered
from agentsoc.engine.consent import cluster, destinations, missing, require_consent
from agentsoc.engine.run import run
from agentsoc.errors import ConsentNeededError, InputError
from agentsoc.scenario.model import Budget, Engine, Scenario
from tests.strategies import scenario

ELSEWHERE = Destination("https://api.example.org/v1", "SOME_KEY")
PROVIDER_VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_API_KEY"),
    *("OLLAMA_API_BASE", "USE_LITELLM_PROXY", "BEDROCK_API_BASE", "BEDROCK_BASE_URL"),
)


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory for what is agreed to, which does not exist yet; no provider is set up."""
    for name in PROVIDER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENTSOC_CONFIG_DIR", str(tmp_path / "settings" / "agentsoc"))
    return tmp_path / "settings" / "agentsoc"


def with_model(**settings: Any) -> Scenario:
    return scenario(agents={"count": 3, "model": {"kind": "litellm", "name": "openai/m", **settings}})


class Undeclared(Model):
    """A model of somebody else's that says nothing of where it sends what."""

    kind: Literal["undeclared"] = "undeclared"

    def open(self, *, seed: int, share: int = 1) -> Backend:
        return _Quiet()


class Declared(Undeclared):
    """One that says that it sends nothing."""

    kind: Literal["declared"] = "declared"  # type: ignore[assignment]

    def destinations(self) -> tuple[Destination, ...]:
        return ()


class _Quiet(Backend):
    async def complete(self, request: Request) -> Completion:
        return Completion("positive", Usage(5, 0, 2))

    def count(self, request: Request) -> int:
        return 5

    def identity(self) -> dict[str, Any]:
        return {}


# What is remembered


def test_what_was_agreed_to_is_remembered_by_pair_for_this_user_alone(config: Path) -> None:
    assert remembered() == (frozenset(), "")
    remember([ELSEWHERE])
    remember([Destination("https://api.example.org/v1"), ELSEWHERE])
    known, fault = remembered()
    assert known == {ELSEWHERE, Destination("https://api.example.org/v1")}
    assert fault == ""
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE((config / "consent.json").stat().st_mode) == 0o600
    assert [
        path.name for path in config.iterdir() if path.name.startswith(".consent.json.") and "lock" not in path.name
    ] == []
    for other in (Destination(ELSEWHERE.address, "OTHER_KEY"), Destination("https://api.example.com/v1", "SOME_KEY")):
        assert missing([other]) == ([other], "")
    assert missing([ELSEWHERE]) == ([], "")


def test_one_pair_that_is_none_makes_the_whole_memory_count_as_none(config: Path) -> None:
    config.mkdir(parents=True)
    pairs: list[Any] = [{"address": "https://a.example.org", "variable": None}, {"address": 1, "variable": None}]
    others: list[Any] = [{"address": "https://a.example.org", "variable": 1}]
    for order in (pairs, pairs[::-1], others):
        (config / "consent.json").write_text(json.dumps({"agreed": order}))
        known, fault = remembered()
        assert known == frozenset()
        assert "it is damaged" in fault


def test_a_memory_of_up_to_a_megabyte_is_read_and_a_larger_one_counts_as_none(config: Path) -> None:
    remember([ELSEWHERE])
    content = (config / "consent.json").read_bytes()
    assert agreed.BYTES_MAX == 1024**2
    (config / "consent.json").write_bytes(content.ljust(1024**2))
    assert remembered() == (frozenset({ELSEWHERE}), "")
    (config / "consent.json").write_bytes(content.ljust(1024**2 + 1))
    known, fault = remembered()
    assert known == frozenset()
    assert "it is damaged" in fault


def test_a_memory_is_on_disk_before_it_takes_the_place_of_the_old_one_and_a_failure_leaves_that(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember([ELSEWHERE])
    names, content = sorted(path.name for path in config.iterdir()), (config / "consent.json").read_bytes()
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    remember([ELSEWHERE])
    assert sizes == [len(content)]

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match="No space left"):
        remember([Destination("https://b.example.org")])
    assert sorted(path.name for path in config.iterdir()) == names
    assert (config / "consent.json").read_bytes() == content


def test_a_system_that_refuses_without_a_word_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "open", refuse)
    known, fault = remembered()
    assert known == frozenset()
    assert "consent.json: it cannot be read; no earlier consent counts" in fault


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"agreed": 5}', b'{"agreed": [{"address": 1, "variable": null}]}'),
        *(b'{"agreed": [["a", "b"]]}', b'{"agreed": [{"address": "a"}]}', b"\xff\xfe", b"[" * 100_000),
        b" " * (agreed.BYTES_MAX + 1),
    ],
)
def test_a_damaged_memory_counts_as_none_and_is_said(content: bytes, config: Path) -> None:
    remember([ELSEWHERE])
    (config / "consent.json").write_bytes(content)
    known, fault = remembered()
    assert known == frozenset()
    assert "consent.json" in fault
    with pytest.raises(ConsentNeededError, match="damaged"):
        require_consent([with_model(base_url=ELSEWHERE.address, api_key_env="SOME_KEY")])
    remember([ELSEWHERE])  # and the next yes makes it whole again
    assert remembered() == (frozenset({ELSEWHERE}), "")


def test_a_memory_that_cannot_be_read_or_written_is_no_consent_and_an_error_that_says_so(config: Path) -> None:
    (config / "consent.json").mkdir(parents=True)
    known, fault = remembered()
    assert known == frozenset()
    assert "Is a directory" in fault
    with pytest.raises(InputError, match="cannot be remembered"):
        remember([ELSEWHERE])


def test_processes_that_remember_at_once_lose_nothing(config: Path) -> None:
    pairs = [Destination(f"https://h{number}.example.org", "K") for number in range(12)]
    threads = [threading.Thread(target=remember, args=([pair],)) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert remembered()[0] == set(pairs)


def test_the_memory_lies_in_the_users_own_settings_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AGENTSOC_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    found = config_directory()
    assert found.is_absolute()
    assert found.name == "agentsoc" or "agentsoc" in found.parts
    if sys.platform == "linux":
        assert found == tmp_path / "own" / "agentsoc"


# What needs consent, and what is it


def test_a_server_on_this_machine_that_is_sent_no_variable_needs_none() -> None:
    require_consent([with_model(base_url="http://127.0.0.1:8000/v1")])
    require_consent([scenario()])


def test_everything_else_is_refused_with_address_variable_cost_and_how_to_go_on() -> None:
    asked = with_model(base_url="http://127.0.0.1:8000/v1/", api_key_env="SOME_KEY")
    with pytest.raises(ConsentNeededError) as refused:
        require_consent([asked])
    said = str(refused.value)
    for part in ("http://127.0.0.1:8000/v1,", "SOME_KEY", "openai/m", "model calls", "--yes", "consent=True"):
        assert part in said
    assert refused.value.exit_code == 2
    exact = Destination("http://127.0.0.1:8000/v1", "SOME_KEY")
    require_consent([asked], {exact})
    require_consent([asked], True)
    for other in (Destination(exact.address), Destination("http://127.0.0.1:8001/v1", "SOME_KEY"), ELSEWHERE):
        with pytest.raises(ConsentNeededError):
            require_consent([asked], {other})
    remember([exact])
    require_consent([asked])
    with pytest.raises(ConsentNeededError, match="OTHER_KEY"):
        require_consent([asked, with_model(base_url="http://127.0.0.1:8000/v1", api_key_env="OTHER_KEY")])


def test_of_very_many_runs_the_budgets_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "BOUNDED_MAX", 2)
    one = with_model(api_key_env="SOME_KEY").model_copy(update={"budget": Budget(tokens_per_task=5_000)})
    assert "model calls (" in consent.cost_text([one, one])
    assert "no more than 60,000 tokens" in consent.cost_text([one] * 3)
    unlimited = one.model_copy(update={"budget": None})
    assert "there is no budget" in consent.cost_text([one, one, unlimited])
    assert "there is no budget" not in consent.cost_text([one])
    assert consent.cost_text([one, one]).startswith("2 runs: ")
    assert "runs: " not in consent.cost_text([one])
    assert "no more than" not in consent.cost_text([one, one, unlimited])


def test_a_model_that_does_not_say_where_it_sends_what_is_asked_about_every_time(tmp_path: Path) -> None:
    Slot.register(Undeclared)
    Slot.register(Declared)
    asked = scenario(agents={"count": 3, "model": {"kind": "undeclared"}})
    with pytest.raises(ConsentNeededError, match="the model undeclared does not say"):
        run(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    remember(destinations([asked]))
    with pytest.raises(ConsentNeededError):
        require_consent([asked])
    assert run(asked, tmp_path / "run", consent=True).manifest.status == "finished"
    quiet = scenario(agents={"count": 3, "model": {"kind": "declared"}})
    assert run(quiet, tmp_path / "quiet").manifest.status == "finished"


def test_a_cluster_is_a_destination_unless_it_is_here() -> None:
    for here in (None, "local", "127.0.0.1:6379", "localhost:6379", "ray://127.0.0.1:10001", "[::1]:6379"):
        assert cluster(here) == ()
    for there in ("10.0.0.5:6379", "head.example.org:6379", "ray://evil:10001", "127.0.0.1.nip.io:6379"):
        [place] = cluster(there)
        assert there.removeprefix("ray://") in place.address
        assert place.address == f"ray://{there.removeprefix('ray://')}"
        assert place.variable == "RAY_AUTH_TOKEN"
        asked = scenario().model_copy(update={"engine": Engine(address=there)})
        with pytest.raises(ConsentNeededError, match="Ray cluster"):
            require_consent([asked])
        require_consent([asked], cluster(there))


# What models say


def test_a_provider_is_named_with_its_address_and_its_usual_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LiteLLM(name="openai/m").destinations() == (Destination("https://api.openai.com/v1", "OPENAI_API_KEY"),)
    named = LiteLLM(name="openai/m", api_key_env="AWS_SECRET_ACCESS_KEY").destinations()
    assert named == (Destination("https://api.openai.com/v1", "AWS_SECRET_ACCESS_KEY"),)
    assert LiteLLM(name="gemini/m").destinations()[0].variable == "GEMINI_API_KEY"
    monkeypatch.setenv("GOOGLE_API_KEY", "x")
    assert LiteLLM(name="gemini/m").destinations()[0].variable == "GOOGLE_API_KEY"


def test_an_address_that_the_environment_gives_a_provider_is_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "https://gateway.example.org/v1/")
    [place] = LiteLLM(name="openai/m").destinations()
    assert place == Destination("https://gateway.example.org/v1", "OPENAI_API_KEY")
    assert "OPENAI_API_BASE" in place.text()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    [place] = LiteLLM(name="openai/m").destinations()
    assert place == Destination("http://127.0.0.1:9/v1", "OPENAI_API_KEY")
    assert place.needs_consent, "it is sent the provider's key"


def test_a_provider_on_this_machine_needs_consent_only_for_a_key_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not LiteLLM(name="ollama/m").destinations()[0].needs_consent
    monkeypatch.setenv("OLLAMA_API_KEY", "x")
    assert LiteLLM(name="ollama/m").destinations() == (Destination("http://localhost:11434", "OLLAMA_API_KEY"),)


def test_of_a_provider_whose_rules_are_not_known_that_is_said() -> None:
    [place] = LiteLLM(name="bedrock/anthropic.claude").destinations()
    assert place.needs_consent
    assert "bedrock/anthropic.claude" in place.address
    assert "whatever else litellm takes for bedrock" in place.text()
    assert LiteLLM(name="bedrock/other").destinations()[0] != place


def test_a_base_url_takes_no_providers_key_into_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    url = "https://api.example.org/v1/"
    assert LiteLLM(name="openai/m", base_url=url).destinations() == (Destination("https://api.example.org/v1"),)
    named = LiteLLM(name="openai/m", base_url=url, api_key_env="K").destinations()
    assert named == (Destination("https://api.example.org/v1", "K"),)


def test_finding_out_what_needs_consent_imports_no_client() -> None:
    code = (
        "import sys\n"
        "from agentsoc.backends.litellm import LiteLLM\n"
        "import agentsoc.engine.consent\n"
        "LiteLLM(name='bedrock/m').destinations()\n"
        "assert not {'litellm', 'aiohttp', 'httpx', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_memory_holds_names_and_addresses_and_no_value(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("SOME_KEY", "canary-1234567890")
    remember([ELSEWHERE])
    text = (config / "consent.json").read_text()
    assert "canary" not in text
    assert json.loads(text) == {"agreed": [{"address": ELSEWHERE.address, "variable": "SOME_KEY"}]}


def test_the_cluster_of_a_job_is_the_one_that_auto_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster("auto") == ()  # nothing is joined then
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert cluster("auto") == ()
    monkeypatch.setenv("RAY_ADDRESS", "203.0.113.7:6379")
    assert cluster("auto") == cluster("203.0.113.7:6379") != ()
