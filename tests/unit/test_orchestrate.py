"""What a lead is told: of findings only where there are some, of a worker by its number, in the words of its rules."""

from __future__ import annotations

from typing import Any

import pytest

from agentsoc.contracts.rules import FIRST, NEWEST, Rules
from agentsoc.engine.rehearsal import SamplePrompt, sample_prompts
from agentsoc.protocols.orchestrate import (
    GUIDE,
    GUIDE_FIRST,
    SYNTHESISE,
    SYNTHESISE_ALONE,
    Orchestrate,
)
from agentsoc.society.build import build_society, open_board
from tests.loose import scenario


def prompts(rules: Rules = NEWEST, form: str = "json", **settings: Any) -> list[SamplePrompt]:
    """Return the first prompts of a lead with two workers, whom it guides one by one in two rounds."""
    asked = scenario(
        agents={"count": 3, "reply": form},
        protocol={"kind": "orchestrate", "rounds": 2, "guidance": "each", **settings},
    )
    return sample_prompts(build_society(asked, rules=rules))


def said(found: list[SamplePrompt], template: str) -> list[str]:
    return [one.request.messages[-1].content for one in found if one.template == template]


def test_a_lead_is_told_to_read_findings_where_there_are_some() -> None:
    first, later = said(prompts(), "guide")
    assert GUIDE_FIRST in first
    assert GUIDE not in first
    assert GUIDE in later
    assert "#1 agent" in later
    assert "#1 agent" not in first


def test_a_lead_is_told_whose_part_it_guides_and_by_which_number_to_name_whom() -> None:
    first, _ = said(prompts(), "guide")
    assert "The part of agent 1: a piece of work" in first
    assert "Your part" not in first
    assert '"to", the number of an agent: 1, and "task"' in first
    [plan] = said(prompts(), "plan")
    assert '"to", the number of an agent: 1 or 2, and "task"' in plan
    assert "Write one line for each agent (1, 2): agent number: what to do." in said(prompts(form="text"), "plan")[0]
    work = said(prompts(), "work")[0]
    assert "Your part: a piece of work" in work  # a worker's own


def test_runs_of_the_first_rules_keep_their_words() -> None:
    texts = [one.request.messages[-1].content for one in prompts(FIRST)]
    guided = [text for text in texts if GUIDE in text]
    assert guided
    assert not any(GUIDE_FIRST in text or "The part of agent" in text for text in texts)
    assert "Your part: a piece of work" in guided[0]


@pytest.mark.parametrize(("rules", "words"), [(NEWEST, SYNTHESISE_ALONE), (FIRST, SYNTHESISE)])
def test_a_lead_whose_workers_have_all_failed_is_told_of_no_findings_above(rules: Rules, words: str) -> None:
    asked = scenario(agents={"count": 3}, protocol={"kind": "orchestrate"})
    society = build_society(asked, rules=rules)
    board = open_board([society], 0, asked.tasks.make(0, 0))
    protocol = asked.protocol
    assert isinstance(protocol, Orchestrate)
    assert protocol._synthesis(society, board).instruction == words
