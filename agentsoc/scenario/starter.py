"""This module writes a first scenario: small, commented, with a file of tasks beside it, ready to run and to change."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from agentsoc.contracts.model import MODELS
from agentsoc.contracts.part import nearest
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.errors import InputError, ScenarioError
from agentsoc.scenario.dump import dump
from agentsoc.scenario.load import parse_scenario
from agentsoc.scenario.source import printable

SCENARIO: Final = "scenario.yaml"
TASKS: Final = "tasks.jsonl"

_PROTOCOLS: Final = {
    "single": ("vote", "each answers alone; most votes win"),
    "independent": ("vote", "each answers alone; most votes win"),
    "star": ("aggregate", "the hub counts the answers of the others"),
    "chain": ("aggregate", "each answers knowing the answer before it"),
    "tree": ("aggregate", "managers count the answers of those below them"),
    "hybrid": ("orchestrate", "the hub hands out work and puts the answers together"),
}
_TALK: Final = ("debate", "all hear their neighbours and answer again; then they vote")
_NO_STARTER: Final = ("custom",)
"""Topologies that need a file of their own."""

_SCENARIO: Final = """\
# A few agents answer a few questions.
# agentsoc check {scenario} says what would run and what it can cost, with --prompts also what agents would be asked;
# agentsoc run {scenario} runs it.
# Any value can be set from outside: --set topology=chain --set agents.count=7 --seeds 5 --model openai/gpt-4o-mini
name: {name}
seed: 1                     # decides every random draw; the same seed gives the same run
tasks:
  kind: jsonl
  file: {tasks}         # your questions, one a line: a question, its answer, options if it has some;
                            # without options, scoring: {{score: number}} and the like say what is right
  count: 6
models:                     # named once, used by any group of agents below
  main: {model:<18}  # {about}
agents:                     # one group; write a list of groups for agents of several kinds
  count: {count}
  model: main
  temperature: 0.7
  max_tokens: 64            # the longest reply (tokens)
topology: {topology:<17} # who hears whom; others: {others}
protocol: {protocol:<17} # {rules}
budget:
  tokens_per_task: 8000     # a hard limit: no call is made that could pass it
"""
_ABOUT: Final = {
    "local": "the embedded model, without a key; any other in a word: openai/gpt-4o-mini",
    "simulated": "voters who are drawn, not asked; a real model in a word: openai/gpt-4o-mini",
    "scripted": "voters who follow a rule; a real model in a word: openai/gpt-4o-mini",
    "effort": "voters who succeed by what they spend; a real model in a word: openai/gpt-4o-mini",
}
_PROVIDER: Final = "read through litellm; its key is read from the provider's usual variable"
_TASKS: Final = """\
{"question": "Which number is larger, 17 or 71?", "answer": "71", "options": ["17", "71"]}
{"question": "Is this review positive or negative? The soup was cold.", "answer": "negative", "options": ["positive", "negative"]}
{"question": "What is the capital of France?", "answer": "Paris", "options": ["Paris", "Rome", "Madrid"]}
{"question": "Which is heavier, a feather or a brick?", "answer": "a brick", "options": ["a feather", "a brick"]}
{"question": "How many legs does a spider have?", "answer": "8", "options": ["6", "8", "10"]}
{"question": "Is this review positive or negative? I would stay there again.", "answer": "positive", "options": ["positive", "negative"]}
"""  # noqa: E501


def write_starter(directory: Path, model: str, topology: str = "star") -> tuple[Path, Path]:
    """Write a scenario and its tasks into a directory, which is made where it is missing, and return their paths.

    Args:
        directory: where they go.
        model: the model of the agents: a kind, or provider/model.
        topology: kind of the topology; the protocol is one that goes with it.

    Raises:
        InputError: one of the files is there already, or cannot be written; then neither is. Or there is no such
            model or topology, or it needs more than its name.
    """
    scenario, tasks = directory / SCENARIO, directory / TASKS
    if topology in _NO_STARTER:
        raise InputError(f"the topology {topology} needs more than its name", "--topology", "name another one")
    for option, word, known in (("--topology", topology, TOPOLOGIES.names()), ("--model", model, MODELS.names())):
        if word not in known and not (option == "--model" and "/" in word):
            raise InputError(f'there is no {option[2:]} "{printable(word, 40)}"', option, nearest(word, known))
    text = _text(scenario, model, topology)
    try:
        parse_scenario(text, SCENARIO)
    except ScenarioError as error:
        first = error.problems[0]
        raise InputError(f"{first.what}, so no scenario can be made of it", f"--model {model}", first.hint) from None
    for path in (scenario, tasks):
        if path.exists() or path.is_symlink():
            raise InputError("this file is there already", str(path), "name another directory: agentsoc init DIR")
    written: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, content in ((tasks, _TASKS), (scenario, text)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            written.append(path)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise InputError(f"it cannot be written: {error.strerror}", str(error.filename or directory)) from None
    return scenario, tasks


def _text(scenario: Path, model: str, topology: str) -> str:
    protocol, rules = _PROTOCOLS.get(topology, _TALK)
    others = [name for name in ("single", "independent", "star", "chain", "tree", "decentralized") if name != topology]
    return _SCENARIO.format(
        scenario=scenario.name,
        name="first",
        tasks=TASKS,
        model=_word(model),
        about=_ABOUT.get(model, _PROVIDER if "/" in model else "what answers the prompts"),
        count=1 if topology == "single" else 5,
        topology=_word(topology),
        others=", ".join(others),
        protocol=protocol,
        rules=rules,
    )


def _word(text: str) -> str:
    """Return a word as YAML has it."""
    return dump([text]).strip().removeprefix("- ")
