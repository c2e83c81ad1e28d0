"""This module writes out the models that a scenario names: those of its ``models`` block, and ``provider/model``.

A model that several groups share is described once and named where it is used::

    models:
      fast: openai/gpt-4o-mini                          # provider/model: reached through litellm
      own: {kind: litellm, name: openai/qwen, base_url: "http://127.0.0.1:8000/v1"}
    agents:
      - {count: 4, model: fast}
      - {count: 1, model: {kind: own, window: 8192}}    # the named model, but for what is said here

Models are written out before anything is checked or stored, so a run does not depend on how they were named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from agentsoc.contracts.model import MODELS
from agentsoc.contracts.part import nearest
from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.block import block
from agentsoc.scenario.draft import Draft, Setting
from agentsoc.scenario.explain import problems_of, show
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Path

BLOCK: Final = "models"
THROUGH: Final = "litellm"
"""Kind of the models that are named as provider/model."""
NAMES: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a model may be called: nothing that could be provider/model."""


def with_models(draft: Draft) -> Draft:
    """Return the draft of a scenario with every group's model written out, and without the ``models`` block.

    Raises:
        ScenarioError: the block is none, a name in it cannot be one, or a group names a model that is not there.
    """
    if not isinstance(draft.data, dict):
        return draft
    named = _named(draft)
    found, used, problems = draft, set(), []
    for path, value in _models_of(draft.data):
        word = value.get("kind") if isinstance(value, Mapping) else value
        if not isinstance(word, str):
            continue
        source: Path = path
        if word in named:
            used.add(word)
            whole, source = _whole(named[word]), (BLOCK, word)
        elif "/" in word:
            whole = _whole(word)
        else:
            problems += _unknown(draft, path, word, named)
            continue
        found = found.having(Setting(_as_words(path), whole, block(draft, source)))
        if isinstance(value, Mapping):
            here = block(draft, path)
            for key in value:
                if key != "kind":
                    found = found.having(Setting((*_as_words(path), key), value[key], here, (key,)))
    for name in named:
        if name not in used:
            problems += _checked(draft, name, named[name])
    if problems:
        raise ScenarioError(problems)
    if BLOCK in found.data:
        found = replace(found, data={key: value for key, value in found.data.items() if key != BLOCK})
    return found


def model_arguments(data: Any, model: str) -> list[str]:
    """Return what ``--model`` stands for, as arguments of ``--set``: the model of every group.

    Args:
        data: a scenario or a comparison as it was read. In a comparison, organisations with a model of their own get
            this one too.
        model: the name of a model or kind, or provider/model.
    """
    value = json.dumps(model)
    organisations = data.get("organisations") if isinstance(data, Mapping) else None
    if not isinstance(organisations, Mapping):
        return [f"agents.*.model={value}"]
    own = [
        f"organisations.{label}.agents.*.model={value}"
        for label, keys in organisations.items()
        if isinstance(keys, Mapping) and any(path[0] == "agents" for path, _ in _models_of(keys))
    ]
    return [f"base.agents.*.model={value}", *own]


def _named(draft: Draft) -> Mapping[str, Any]:
    """Return the models of the block by name; checked as far as names go."""
    named = draft.data.get(BLOCK)
    if named is None:
        return {}
    if not isinstance(named, Mapping):
        what = f"{BLOCK} must be a mapping of names to models, found {show(named)}"
        raise ScenarioError([Problem(draft.place((BLOCK,)), what, "for example: models: {fast: openai/gpt-4o-mini}")])
    problems = []
    for name, value in named.items():
        if not re.fullmatch(NAMES, name):
            what = f'"{printable(name, 60)}" cannot be the name of a model'
            hint = "letters, digits, dot, dash and underscore, at most 64"
            problems.append(Problem(draft.place((BLOCK, name), of_key=True), what, hint))
        word = value.get("kind") if isinstance(value, Mapping) else value
        if word != name and isinstance(word, str) and word in named:
            what = f"the model {printable(name, 60)} is another name for {printable(word, 60)}"
            hint = "describe it by its kind and settings, or use the other name"
            problems.append(Problem(draft.place((BLOCK, name)), what, hint))
    if problems:
        raise ScenarioError(problems)
    return named


def _models_of(data: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the model of each group that has one, and that of the judge, each with its path in the scenario."""
    groups = data.get("agents")
    if isinstance(groups, Mapping):
        if groups.get("model") is not None:
            yield ("agents", "model"), groups["model"]
    elif isinstance(groups, list):
        for at, group in enumerate(groups):
            if isinstance(group, Mapping) and group.get("model") is not None:
                yield ("agents", at, "model"), group["model"]
    path: Path = ("tasks", "scoring", "judge", "model")
    found: Any = data
    for key in path:
        found = found.get(str(key)) if isinstance(found, Mapping) else None
    if found is not None:
        yield path, found


def _whole(value: Any) -> Any:
    """Return a model with provider/model written out, in place of its kind or as all that is said of it."""
    word = value.get("kind") if isinstance(value, Mapping) else value
    if not isinstance(word, str) or "/" not in word:
        return {"kind": value} if isinstance(value, str) else value
    rest = {key: item for key, item in value.items() if key != "kind"} if isinstance(value, Mapping) else {}
    return {"kind": THROUGH, "name": word, **rest}


def _unknown(draft: Draft, path: Path, word: str, named: Mapping[str, Any]) -> list[Problem]:
    """Return the fault of a word that is neither a named model nor a kind; without a block it is no name."""
    if not named or word in MODELS.names():
        return []
    what = f'{".".join(map(str, path))}: there is no model "{printable(word, 60)}"'
    hint = nearest(word, [*named, *MODELS.names()])
    return [Problem(draft.place(path), what, f"{hint} named under {BLOCK}: {', '.join(list(named)[:24])}")]


def _checked(draft: Draft, name: str, value: Any) -> list[Problem]:
    """Return what is wrong with a model that no group uses; of the others it shows where they are used."""
    data = _whole(value)
    try:
        MODELS.parse(data)
    except ValidationError as error:
        return problems_of(error, Draft(data, block(draft, (BLOCK, name))))
    except (InputError, ValueError) as error:
        return [Problem(draft.place((BLOCK, name)), f"the model {name}: {error}", f"correct {BLOCK}.{name}")]
    return []


def _as_words(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))
