"""Environments of the peers: one each, under the temporary directory, never in the project's lock."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HOME = Path(tempfile.gettempdir()) / "agentsoc-bench-peers"
INSTALL_S = 300


@dataclass(frozen=True)
class Peer:
    """A framework to compare with, and how many agents it is given: what it can do in a few seconds."""

    name: str
    requirements: tuple[str, ...]
    script: str
    n_w1: int
    n_w2: int


PEERS = (
    Peer("mesa", ("mesa==3.3.1",), "mesa_peer.py", 100_000, 50_000),
    Peer(
        "agentscope",
        ("agentscope==0.1.6", "tqdm", "setuptools<81"),
        "agentscope_peer.py",
        10_000,
        10_000,
    ),
    Peer("autogen-core", ("autogen-core==0.7.5",), "autogen_peer.py", 2_000, 500),
    Peer("langgraph", ("langgraph==1.2.22",), "langgraph_peer.py", 1_000, 500),
)


def python_of(peer: Peer) -> Path | str:
    """Return the Python of a peer's environment, made when it is not there; or why there is none."""
    home = HOME / peer.name
    python = home / "bin" / "python"
    ready = home / "ready"
    if ready.exists():
        return python
    try:
        if not python.exists():
            subprocess.run(
                [sys.executable, "-m", "venv", str(home)], check=True, capture_output=True, timeout=INSTALL_S
            )
        pip = [str(python), "-m", "pip", "install", "--quiet", *peer.requirements]
        subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        return f"its installation took more than {INSTALL_S} s"
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        return f"it does not install: {lines[-1] if lines else error}"[:200]
    ready.touch()
    return python
