"""Write the pages that follow from the code: `python -m docs.generate`, which ``make docs`` does first.

- ``scenario-reference.md`` from the models that scenarios are checked by: every key, its values, default and meaning.
- ``scenarios.md`` from the header and the content of each file in ``scenarios/``.
- ``prompts.md`` from the prompt templates.
- ``files.md`` from the docstrings of the source files.
- ``reference/`` from the names that modules export.

``make docs`` then builds the site from all pages, see ``docs/site.py``.

With ``--check`` nothing is written; exit code 1 says that a page is not what the code gives. A test does the same.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agentsoc.contracts.attention import Attention
from agentsoc.contracts.environments import ENVIRONMENTS
from agentsoc.contracts.fault import PlantedFault
from agentsoc.contracts.group import AgentGroup
from agentsoc.contracts.meanings import described
from agentsoc.contracts.model import MODELS
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.policy import POLICIES
from agentsoc.contracts.probe import Probe
from agentsoc.contracts.prompts import Example, PromptSet, PromptTemplate
from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.contracts.task import TASKS
from agentsoc.contracts.tools import TOOLS
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.scenario.budget import Budget, Shown, Tier
from agentsoc.scenario.load import load_scenarios
from agentsoc.scenario.model import Calls, Engine, Scenario
from agentsoc.scenario.preset import PRESETS
from agentsoc.scenario.prices import Price
from agentsoc.scenario.sweep import MAX_RUNS
from docs.files_page import files_page
from docs.prompts_page import prompts_page
from docs.reference_page import reference_pages

DOCS: Final = Path(__file__).parent
SCENARIOS: Final = DOCS.parent / "scenarios"
BANNER: Final = "<!-- Written by docs/generate.py (make docs). Do not edit. -->"

BLOCKS: Final[dict[str, type[Part]]] = {
    "agents": AgentGroup,
    "prompts": PromptSet,
    "prompts.answer": PromptTemplate,
    "prompts.answer.examples": Example,
    "attention": Attention,
    "budget": Budget,
    "budget.shown": Shown,
    "budget.shown.tiers": Tier,
    "prices": Price,
    "probe": Probe,
    "faults": PlantedFault,
    "calls": Calls,
    "engine": Engine,
}
"""Top-level keys that are a part of one kind."""

SLOTS: Final[dict[str, Slot[Any]]] = {
    "topology": TOPOLOGIES,
    "protocol": PROTOCOLS,
    "tasks": TASKS,
    "model": MODELS,
    "agents.tools": TOOLS,
    "tasks.environment": ENVIRONMENTS,
    "budget.policy": POLICIES,
}
"""Keys that any registered part may fill."""

PAGES: Final = {
    "prompts": "[prompts](prompts.md), with the defaults and what agents see of each other",
    "budget": "[budgets](budgets.md): what a run will cost, and why turns are refused",
    "prices": "[what will it cost?](budgets.md#what-will-it-cost)",
    "probe": "[what agents make of what they are shown](metrics.md#what-agents-make-of-what-they-are-shown)",
    "faults": "[planted errors](aggregators.md#planted-errors)",
    "calls": "[when models fail](failures.md)",
    "engine": "[Ray](ray.md)",
    "topology": "[vocabulary](vocabulary.md#the-surveys-five-words); each has a file in [scenarios](scenarios.md)",
    "protocol": "[methods of the literature](methods.md), [aggregators](aggregators.md), and by "
    "[which template each asks](prompts.md#which-template-asks-when)",
    "tasks": "[tasks of your own](replies.md#tasks-of-your-own)",
    "model": "[models and providers](providers.md)",
    "budget.policy": "[policies](budgets.md#policies)",
    "agents.tools": "[tools](tools.md)",
    "tasks.environment": "[environments](environments.md)",
    "tool_use": "[tools](tools.md)",
}
"""Where more is said about a key."""

NAMES: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "none",
}
"""Types of JSON Schema in words."""

INTRODUCTION: Final = f"""\
# Scenario reference

{BANNER}

A scenario is one YAML file. It says everything that changes a result, and only that; the block `engine` never does.
`agentsoc check FILE` says what is wrong with one, with line, column and a suggestion, or what it would run.
`agentsoc schema --out scenario.schema.json` writes a JSON Schema for editors: with the first line
`# yaml-language-server: $schema=scenario.schema.json` they complete keys and mark faults.

**Parts.** `topology`, `protocol`, `tasks`, `budget.policy` and an agent's `model` are parts: a mapping with `kind` and
the keys of that kind, or just the name of the kind where all other keys have defaults (`topology: star`). Packages add
kinds by entry point, loose files with `--allow-code` (see [writing a protocol](writing-a-protocol.md)).

**Values.** The YAML is strict: no duplicate or unknown keys, no anchors, aliases or tags, no words that YAML readers
disagree on (`yes`, `no`, `on`, `off`, `012`, `12:30:00`), at most 1 MB and 64 levels. A whole number is not taken from
a text or from `8.0`.

**Overrides.** `--set a.b=value` sets a value from the command line, after the file was read; it may be given several
times. The value is YAML. `--set agents.model=local` replaces a whole part. Of a list of groups,
`--set agents.0.count=4` reaches into the first one and `--set agents.*.temperature=0.2` into all; `agents.*` means the
one group as well where there is no list. `--model NAME` of `run`, `check` and `compare` is short for
`--set agents.*.model=NAME`.
"""

SCENARIOS_INTRODUCTION: Final = f"""\
# Shipped scenarios

{BANNER}

Each file is a page of documentation: its header says what it shows and what to look at. Start one with
`agentsoc run scenarios/NAME.yaml`. Models: `local` is the embedded SmolLM2-135M, `simulated` are voters drawn from a
law, `effort` voters succeed by what they spend, `scripted` answers by rule, `litellm` reaches a server or a provider.
The tests run every file: those with `local` with fewer tasks, `provider-local-server` against a server on loopback,
`provider-hosted` up to the missing key. How the times were measured:
[first ten minutes](first-ten-minutes.md#about-times).

Put a model of yours in with `--model openai/gpt-4o-mini` ([models and providers](providers.md)), but not where the
tasks are `signal`: they are for simulated voters, and all that they ask is "Which is right: A or B?". There,
`--set tasks=arithmetic` puts questions in their place. Files in `scenarios/comparisons/` and `scenarios/study/` compare
organisations: [comparing organisations](comparing.md), [experiments](experiments/index.md).
"""

SCENARIO_GROUPS: Final = {
    "quickstart": "To begin",
    "literature": "Methods of papers",
    "protocol": "Protocols",
    "topology": "Topologies",
    "aggregator": "How answers are counted",
    "preset": "Presets",
    "tasks": "Tasks of your own",
    "provider": "Models of your own",
    "world": "Environments",
    "tools": "Tools",
    "experiment": "Experiments",
}
"""What the first word of a file's name says, in the order of the page's list."""

SWEEP: Final = f"""\
## sweep

A block beside the others that makes one file stand for all combinations of what it lists, at most {MAX_RUNS:,} runs.
A key is a dotted path with a list of values, or a name of your own with named sets of values that go together:

```yaml
sweep:
  topology: [star, chain, {{kind: tree, fan_in: 3}}]
  agents.count: [4, 8]
  size:
    small: {{budget.tokens_per_task: 1000}}
    large: {{budget.tokens_per_task: 9000}}
  seeds: 10
```

`seeds: n` repeats each combination with the seeds seed, seed + 1, ... The last axis varies fastest, seeds fastest of
all. On the command line `--set agents.count=4,8` is an axis too, and `--seeds 10` takes the place of `seeds`; either
takes the place of an axis of the same path in the file. The runs are made one after the other, each into a directory
of its own that is named after its place in the grid.

A block `budget_total` beside it is a ceiling over all of these runs, split evenly over their tasks before the first one
starts: `budget_total: {{tokens: 2000000, money: 5}}`, see [budgets](budgets.md#over-several-runs).
"""


NAMED_MODELS: Final = """\
## models

A block beside the others that names models, so that each is described once:

```yaml
models:
  fast: openai/gpt-4o-mini
  own: {kind: litellm, name: openai/qwen, base_url: "http://${MODEL_HOST}:8000/v1", window: 8192}
agents:
  - {count: 4, model: fast}
  - {count: 1, model: {kind: own, window: 16384}}
```

- `model: NAME` takes the model of that name; `model: {kind: NAME, ...}` takes it but for the keys that follow. A name
  has letters, digits, dots, dashes and underscores, and comes before a kind of the same name.
- `model: provider/model`, anywhere, is short for `{kind: litellm, name: provider/model}`.
- In an address, `${NAME}` stands for a variable of the environment: in `base_url`, nowhere else, and never for a key,
  whose variable is named in `api_key_env`. What is asked about, sent to and stored is the address that comes out;
  nothing that is stored is looked up again. A variable that is not set, or named like a secret, is an error.
- A comparison has the same block, beside `base`; `models` in the base or in an organisation are laid over it.
- Models are written out before anything is checked or stored: a run does not depend on how its models were named.
"""


def _presets() -> Iterator[str]:
    """Yield the section on presets: what each stands for."""
    yield _prose("## presets\n")
    yield (
        "`preset: NAME` stands for the blocks below. What the file says wins: a mapping without `kind`, or with the "
        "preset's kind, is laid over the block key by key; anything else takes its place. `agents.count` next to a "
        "preset counts those who work; a lead, a hub or managers come on top. A list of groups is taken as it stands, "
        "the lead first. [Aggregators](aggregators.md#presets) has calls, depth and deliveries.\n"
    )
    yield "| preset | topology | protocol | count | iterations | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, preset in PRESETS.items():
        topology, protocol = (
            ", ".join(f"{key}: {value}" for key, value in block.items()) for block in (preset.topology, preset.protocol)
        )
        yield f"| `{name}` | `{topology}` | `{protocol}` | {preset.count} | {preset.iterations} | {preset.about} |"
    yield ""


def scenario_reference() -> str:
    """Return the page of all keys of a scenario."""
    parts = [INTRODUCTION, "## The file\n", *_table(Scenario)]
    for key, cls in BLOCKS.items():
        parts += [f"## {key}\n", *_more(key), *_part(cls)]
    for key, slot in SLOTS.items():
        kinds = own_kinds(slot)
        links = ", ".join(f"[{kind}](#{_anchor(_title(key, kind))})" for kind in kinds)
        parts += [f"## {key}\n", *_more(key), f"One of: {links}.\n"]
        nested: dict[str, type[Part]] = {}
        for kind, cls in kinds.items():
            parts += [f"### {_title(key, kind)}\n", *_part(cls)]
            nested |= _nested(cls)
        for name, cls in nested.items():
            parts += [f"### {name} (part of a {slot.noun})\n", *_part(cls)]
    return "\n".join([*parts, NAMED_MODELS, *_presets(), SWEEP])


def own_kinds(slot: Slot[Any]) -> dict[str, type[Part]]:
    """Return the kinds that agentsoc itself brings, in the order of their entry points."""
    own = [kind for kind, entry in Slot.entries(slot.group).items() if entry.value.startswith("agentsoc.")]
    return {kind: slot.find(kind) for kind in own}


def _more(key: str) -> Iterator[str]:
    if key in PAGES:
        yield f"More: {PAGES[key]}.\n"


def _title(key: str, kind: str) -> str:
    return f"{key}: {kind}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _part(cls: type[Part]) -> Iterator[str]:
    yield _prose(cls.__doc__ or "") + "\n"
    yield from _table(cls)


def _prose(text: str) -> str:
    """Return a docstring as Markdown: one line a paragraph, single backticks, pages as links."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return _linked("\n\n".join(" ".join(paragraph.split()).replace("``", "`") for paragraph in paragraphs))


def _linked(text: str) -> str:
    """Return a text in which pages of the documentation are links."""
    return re.sub(r"\bdocs/([\w-]+)\.md\b", r"[docs/\1.md](\1.md)", text)


def _nested(cls: type[Part]) -> dict[str, type[Part]]:
    """Return the parts that the fields of a part hold, by name."""
    found: dict[str, type[Part]] = {}

    def look(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Part):
            found[annotation.__name__] = annotation
            found.update(_nested(annotation))
        for inner in getattr(annotation, "__args__", ()):
            look(inner)

    for field in cls.model_fields.values():
        if not _slot_of(field):
            look(field.annotation)
    return found


def _slot_of(field: Any) -> Slot[Any] | None:
    return next((item for item in field.metadata if isinstance(item, Slot)), None)


def _table(cls: type[Part]) -> Iterator[str]:
    rows = [(name, field) for name, field in described(cls).items() if name != "kind" or cls is Attention]
    if not rows:
        yield "No further keys.\n"
        return
    schema = cls.model_json_schema(mode="validation")["properties"]
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in rows:
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        cells = (f"`{name}`", _value(name, cls, schema[name]), default, _prose(field.description or ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    yield "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Part):
        return "its own defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple) and value and isinstance(value[0], Tier):
        return ", ".join(f"{tier.name} from {tier.at_least}" for tier in value)
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, str) and "\n" in value:
        return "a text that begins: " + value.splitlines()[0]
    return f'`"{value}"`' if value == "" else f"`{value}`"


def _value(name: str, cls: type[Part], schema: dict[str, Any]) -> str:
    """Return what a key takes, from its JSON Schema."""
    slot = _slot_of(cls.model_fields[name])
    if slot is not None:
        key = next(key for key, known in SLOTS.items() if known.group == slot.group)
        return f"{'an' if slot.noun[0] in 'aeiou' else 'a'} {slot.noun} ([{key}](#{_anchor(key)}))"
    if cls is Scenario and name in BLOCKS:
        return f"[{name}](#{name})"
    return _kind(schema)


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]  # type: ignore[no-any-return]
    if "allOf" in schema:
        return _kind(schema["allOf"][0])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return "pair of " + _kind(schema["prefixItems"][0])
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return "mapping of " + _kind(inner) if isinstance(inner, dict) and inner else "mapping"
    return NAMES.get(str(kind), "any value") + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    bounds = [
        "" if low is None else f"from {_number(low)}",
        "" if above is None else f"above {_number(above)}",
        "" if high is None else f"to {_number(high)}",
        "" if below is None else f"below {_number(below)}",
    ]
    words = " ".join(bound for bound in bounds if bound)
    return f" {words}" if words else ""


def _number(value: float) -> str:
    if value == 2**63 - 1:
        return "2^63 - 1"
    if abs(value) < 10**6 or (isinstance(value, int) and abs(value) < 10**9):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"{value:g}".replace("1e+0", "10^").replace("1e+", "10^")


# The list of shipped scenarios


def header(path: Path) -> dict[str, str]:
    """Return the parts of a scenario's header: ``about``, and what follows Shows, Look at, Real model and Time.

    Raises:
        ValueError: the file does not begin with such a header.
    """
    found: dict[str, str] = {}
    key = "about"
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        start = re.match(r"(Shows|Look at|Real model instead|Time): ", text)
        if start:
            key, text = start[1], text[start.end() :]
        found[key] = f"{found.get(key, '')} {text}".strip()
    if not {"about", "Shows", "Look at", "Time"} <= set(found):
        raise ValueError(f"{path.name}: the header needs a first sentence and Shows, Look at and Time")
    return found


def scenario_files() -> list[Path]:
    """Return the shipped scenarios, the quick start first."""
    return sorted(SCENARIOS.glob("*.yaml"), key=lambda path: (path.stem != "quickstart", path.stem))


def scenarios_page() -> str:
    """Return the page that lists the shipped scenarios."""
    lines = [SCENARIOS_INTRODUCTION]
    for group, title in SCENARIO_GROUPS.items():
        names = [path.stem for path in scenario_files() if path.stem.rstrip("s").startswith(group.rstrip("s"))]
        links = ", ".join(f"[{name.removeprefix(group + '-')}](#{name})" for name in names)
        lines.append(textwrap.fill(f"- {title}: {links}.", 120, subsequent_indent="  ", break_on_hyphens=False))
    for path in scenario_files():
        head = header(path)
        runs = load_scenarios(path)
        first = runs[0]
        models = ", ".join(dict.fromkeys(group.model.kind for group in first.agents))
        kinds = [_same(run.topology.kind for run in runs), _same(run.protocol.kind for run in runs)]
        facts = [f"topology {kinds[0]}", f"protocol {kinds[1]}", f"tasks {first.tasks.kind}", f"model {models}"]
        if len(runs) > 1:
            facts.append(f"{len(runs)} runs")
        lines += ["", f"## {path.stem}", "", head["about"], "", "; ".join(facts) + "."]
        lines += ["", *(f"- {key}: {_linked(head[key])}" for key in ("Shows", "Look at", "Time"))]
    return "\n".join(lines) + "\n"


def _same(kinds: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(kinds))


def pages() -> dict[Path, str]:
    """Return the generated pages by path."""
    return {
        DOCS / "scenario-reference.md": scenario_reference(),
        DOCS / "scenarios.md": scenarios_page(),
        DOCS / "prompts.md": prompts_page(BANNER),
        DOCS / "files.md": files_page(BANNER),
        **{DOCS / "reference" / name: text for name, text in reference_pages(BANNER).items()},
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` only compare them; return the exit code."""
    stale = []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(DOCS).as_posix())
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(("not current: " if "--check" in arguments else "written: ") + ", ".join(stale))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
