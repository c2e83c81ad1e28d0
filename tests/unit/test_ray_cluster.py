"""What is set up around Ray in this process, and taken back; nothing here starts Ray."""

from __future__ import annotations

import os
import stat
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentsoc.engine import ray_cluster, ray_files
from agentsoc.engine.ray_probe import Endpoint
from agentsoc.errors import InputError, RunFailedError


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ray_files, "place", lambda: tmp_path)
    monkeypatch.setattr(ray_cluster, "_connected", None)
    monkeypatch.setattr(ray_cluster, "_temporary", None)
    monkeypatch.setattr(ray_cluster, "_output", None)
    return tmp_path


def test_a_token_of_our_own_is_for_this_user_alone_and_forgotten_with_its_file(base: Path) -> None:
    ray_cluster._own_token()
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert path.parent.parent == base
    assert (stat.S_IMODE(path.stat().st_mode), len(path.read_text())) == (0o600, 64)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    ray_cluster.disconnect()
    assert not path.exists()
    assert not {"RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"} & set(os.environ)
    ray_cluster._own_token()
    assert Path(os.environ["RAY_AUTH_TOKEN_PATH"]) != path
    ray_cluster.disconnect()
    assert list(base.iterdir()) == []


def test_a_token_that_was_set_is_kept(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/somewhere/token")
    ray_cluster._own_token()
    ray_cluster.disconnect()
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == "/somewhere/token"


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "auto", "127.0.0.1"])
def test_what_is_no_address_is_refused_before_anything_is_made(address: str, base: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=r"engine\.address"):
        ray_cluster.connect(address, 1)
    assert list(base.iterdir()) == []


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
@pytest.mark.parametrize("several", [True, False])
def test_the_trial_to_join_looks_for_its_node_as_this_process_will(
    several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that looks elsewhere could join where this one would wait for minutes."""
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", several)
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", str(int(not several)))
    script = "import ray._private.ray_constants as c; raise SystemExit(f'several: {c.ENABLE_RAY_CLUSTER}')"
    monkeypatch.setattr(ray_cluster, "_TRIAL", script)
    with pytest.raises(RunFailedError, match=f"cannot be joined from here: several: {several}"):
        ray_cluster._join(None, Endpoint("127.0.0.1", 1))
