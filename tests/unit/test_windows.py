"""What parts say of themselves reaches whoever asks: the window of a model, the weights of a wrapped protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.model import MODELS, Model
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import TopologyError
from agentsoc.scenario.load import parse_scenario
from agentsoc.society.build import build_society
from tests.strategies import scenario

TEXT = """
name: windows
seed: 5
tasks: {kind: comparison, count: 40}
agents: AGENTS
topology: star
protocol: PROTOCOL
"""


def built(agents: str, protocol: str = "{kind: aggregate, by: model}") -> Any:
    return build_society(parse_scenario(TEXT.replace("AGENTS", agents).replace("PROTOCOL", protocol)))


@pytest.mark.parametrize(
    "model",
    [
        "local",
        "{kind: local, context: 2048}",
        "{kind: scripted, window: 2048}",
        "{kind: litellm, name: openai/x, window: 2048}",
    ],
)
def test_a_star_of_400_does_not_fit_2048_tokens_whatever_the_model(model: str) -> None:
    with pytest.raises(TopologyError, match=r"399 \* 64 = 25536 > W = 2048"):
        built(f"{{count: 400, model: {model}}}")
    assert built(f"{{count: 33, model: {model}}}").n == 33


def test_a_run_of_a_version_that_allowed_more_replays_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = scenario(agents={"count": 5, "model": {"kind": "scripted", "window": 4000}}, topology="star")
    narrow = narrow.model_copy(update={"message_tokens": 2000})
    with pytest.raises(TopologyError, match="W = 4000"):
        run(narrow, tmp_path / "refused")
    with monkeypatch.context() as patched:
        patched.setattr("agentsoc.society.build.check_window", lambda *_, **__: None)
        done = run(narrow, tmp_path / "run")
    assert replay(done.directory).digest == done.manifest.digest
    assert resume(done.directory).manifest.digest == done.manifest.digest


def test_the_window_is_that_of_the_agents_who_read() -> None:
    """The hub reads everybody, a worker reads the hub."""
    big, small = "{kind: scripted, window: 100000}", "{kind: local, context: 2048}"
    assert built(f"[{{count: 1, model: {big}}}, {{count: 399, model: {small}}}]").n == 400
    with pytest.raises(TopologyError, match="W = 2048"):
        built(f"[{{count: 1, model: {small}}}, {{count: 399, model: {big}}}]")


def test_a_model_of_somebody_else_without_a_window_is_not_checked() -> None:
    class Endless(Model):
        def open(self, *, seed: int, share: int = 1) -> Any:
            raise NotImplementedError

    assert Endless(kind="endless").context_window() is None
    assert Endless.reply_form == "json"


def test_every_model_that_has_a_window_says_it_before_it_is_opened() -> None:
    settings: dict[str, dict[str, Any]] = {
        "litellm": {"name": "openai/x", "window": 4096},
        "scripted": {"window": 4096},
    }
    for kind in MODELS.names():
        model = MODELS.parse({"kind": kind, **settings.get(kind, {})})
        assert model.context_window() == model.open(seed=0).window, kind


def test_dti_leaves_the_weights_of_the_protocol_inside_alone(tmp_path: Path) -> None:
    """With a threshold that is never reached, dti changes nothing: not the merges by rule either."""
    agents = "{count: 5, model: {kind: scripted, accuracy: 0.5}, reply: json}"
    inside = "{kind: aggregate, by: weighted}"
    texts = {
        "alone": inside,
        "led": f"{{kind: dti, threshold: 1000000, protocol: {inside}}}",
        "counted": "{kind: aggregate, by: majority}",
    }
    found = {
        name: [
            (event.task, event.answer)
            for event in run(
                parse_scenario(TEXT.replace("AGENTS", agents).replace("PROTOCOL", protocol)), tmp_path / name
            ).events()
            if event.kind == "answer"
        ]
        for name, protocol in texts.items()
    }
    assert found["alone"] != found["counted"]
    assert found["led"] == found["alone"]
