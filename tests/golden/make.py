"""Make the stored runs of the current log format that are not there yet: `python -m tests.golden.make`.

Done once for each released format and for each rule that new runs are made by; a stored run is never made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentsoc.engine.run import run
from agentsoc.log.manifest import FORMAT_VERSION
from agentsoc.scenario.model import Scenario

HERE = Path(__file__).parent

RUNS: dict[str, dict[str, Any]] = {
    "orchestrated": {
        "seed": 3,
        "tasks": {"kind": "parts", "count": 4},
        "agents": {
            "count": 5,
            "model": {"kind": "scripted", "accuracy": 0.7, "fail_rate": 0.2, "malformed_rate": 0.1},
            "iterations": 2,
            "max_tokens": 200,
        },
        "topology": {"kind": "hybrid", "peers": 2},
        "protocol": {"kind": "orchestrate", "rounds": 2, "guidance": "each"},
        "budget": {"tokens_per_task": 6000},
        "calls": {"backoff_s": 0.0},
    },
    "debated": {
        "seed": 4,
        "tasks": {"kind": "multiple-choice", "count": 5},
        "agents": [
            {"count": 3, "model": {"kind": "scripted", "accuracy": 0.5, "cites": "all"}, "personas": ["bold", "shy"]},
            {"count": 3, "model": {"kind": "scripted", "says": "majority"}, "memory": 2},
        ],
        "topology": {"kind": "small-world", "neighbours": 1, "rewire": 0.2},
        "protocol": {"kind": "debate", "rounds": 3},
        "attention": {"kind": "reinforced", "k": 1, "beta": 1.0},
    },
    "simulated": {
        "seed": 5,
        "tasks": {"kind": "signal", "count": 50},
        "agents": {"model": {"kind": "simulated", "signal": 0.3, "fidelity": 0.9, "lock": 0.2}},
        "topology": {"kind": "tree", "fan_in": 3, "depth": 2},
        "protocol": "aggregate",
    },
    "read-by-3": {
        "seed": 6,
        "tasks": {"kind": "arithmetic", "count": 3},
        "agents": {
            "count": 4,
            "model": {
                "kind": "scripted",
                "replies": [
                    ("a lister", "Let us go step by step:\n\n1. First, we multiply"),
                    ("a talker", "We take 3. " + "Then we go on and on. " * 12),
                    ("a teller", "Answer: 7\n" + "I say so as I know it. " * 12),
                    ("plain", "1. 42"),
                ],
            },
            "personas": ["a lister", "a talker", "a teller", "plain"],
            "reply": "text",
            "max_tokens": 32,
        },
        "topology": "decentralized",
        "protocol": {"kind": "debate", "rounds": 2},
        "calls": {"backoff_s": 0.0},
    },
}


def main() -> None:
    """Write every run of `RUNS` that is not there below the directory of this format."""
    target = HERE / f"format-{FORMAT_VERSION}"
    for name, parts in RUNS.items():
        if (target / name).exists():
            continue
        done = run(Scenario.model_validate({"name": name, **parts}), target / name)
        (done.directory / "run.lock").unlink(missing_ok=True)
        print(name, done.manifest.digest, done.manifest.totals.events)


if __name__ == "__main__":
    main()
