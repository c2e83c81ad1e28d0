"""The text of ``prompts.md`` around what follows from the code; `docs.generate` puts both together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agentsoc.contracts.prompts import TEMPLATES, VARIABLES
from agentsoc.society.templates import default_template

INTRODUCTION: Final = """\
What an agent is asked is data. Every purpose has a template; the defaults below are used where a scenario has none of
its own. Nothing else is said to a model: what is not on this page or in your scenario, no agent reads.

## Seeing them

- `agentsoc check SCENARIO --prompts` shows the first prompt of each role without calling anybody; what others say in it
  is made up.
- `agentsoc show RUN --task N --prompts`, with `--agent A` for one agent, shows what was sent in a run and what came
  back: messages, reply, reasoning, tokens, latency, further attempts, and what was read out of the reply. Prompts are
  in no file of a run; they are written again, and the hash of each is compared with the journal's. In Python,
  `Run(directory).transcript(task, agent)` returns the same as objects.
- `agentsoc prompts` lists the templates, `agentsoc prompts answer` prints one, `agentsoc prompts --copy DIR` copies
  them to begin from.

## Changing them

```yaml
prompts:                                   # for all agents, or in a group: agents: {prompts: {...}}
  system: "You are {{ persona or 'careful' }}. There are {{ n_agents }} of you."
  answer:
    text: "{{ question }} {{ form }}"        # or file: NAME, beside the scenario; the run keeps a copy
    examples:                              # exchanges that come before the question, as messages
      - {user: "What is 2 + 3?", assistant: "5"}
peers_see: conclusion                      # what others see of a reply; also for a group
agents:
  count: 3
  model: local
  history: own                             # earlier rounds as messages: none, own, all
```

A template is [Jinja2](https://jinja.palletsprojects.com/): values in double braces, `{% if %}`, `{% for %}` over a
list, and the filters `capitalize`, `first`, `indent`, `join`, `last`, `length`, `lower`, `trim`, `upper`. `{` and `}`
alone are plain text, so JSON, LaTeX and code can stand in it. A name that does not exist is a fault that `check`
reports with its line and the nearest name. A template may come from a stranger: it can call nothing, look into no
object, set nothing and nest no loops, and the length of what it makes is bounded. What a value says is never a
template.

The key `prompt` of a group is the older way to write a system prompt, with names in single braces; it still works.

## What is in a prompt

1. The system prompt, then the examples of the purpose.
2. With `history: own` or `all`, earlier rounds of the task: what the agent was asked, with or without the claims that
   it was shown, and its replies as it gave them. With `none` its last reply stands whole in the question (`own`).
3. The question. Others' claims come in an order that is drawn for each turn, because models prefer places; the handle
   #1 belongs to a place, not to an author. Where claims are compared with each other, the protocol draws the order.
4. In a turn of several calls (`iterations`), the reply of the call before and `critique`.

What others say keeps its lines and its spelling. `peers_see` says how much of it is shown: `conclusion` cuts a text
that is longer than `message_tokens` in its middle, with a mark, and never loses the answer; `whole` cuts nothing;
`answer` shows the answer alone. What a model *thinks* (the fields `reasoning_content` or `reasoning`, or a text that
begins with `<think>`) is kept apart: it is in the journal, `show --prompts` prints it, no other agent reads it, and
no answer is taken from it.

When window or budget have no room for all of it, this is left out in turn: what is remembered of earlier tasks,
earlier rounds from the oldest on, the draft, the middle of the own earlier reply, and last others' claims. Claims
that were left out are counted (`claims_left_out` of `claims_due`) and stand in the summary of the run, in `metrics`
and in comparisons. A turn that is to read claims and has no room for any fails; it is not asked as if nobody had
spoken. `check` warns before a run where this is known.

## What a reply rests on

Where claims are shown, a reply that states an answer has to say which of them it rests on, or that it rests on none:

| form | what is asked for |
| --- | --- |
| `short` | one line out of a list: `27 #2`, `27 not #1`, `27 none`; the answer alone is not in the list |
| `json` | `uses` and `disputes`, each a list of handles or `none` |
| `text` | a last line `ANSWER #i`, `ANSWER not #i` or `ANSWER none` |

A `short` list of more than 128 such lines is not made; then the answer alone is asked for, as it is in merges. The
lengths that a JSON schema allows follow `max_tokens`, and answers of tasks about numbers are held to a number.
"""


def prompts_page(banner: str) -> str:
    """Return the page."""
    return "\n".join(["# Prompts", "", banner, "", INTRODUCTION, *_templates()]) + "\n"


def _templates() -> Iterator[str]:
    yield "## Values\n"
    yield "| value | what it is |"
    yield "| --- | --- |"
    for name, meaning in VARIABLES.items():
        yield f"| `{name}` | {meaning} |"
    yield "\n## The default templates"
    for name, kind in TEMPLATES.items():
        yield f"\n### {name}\n"
        values = ", ".join(f"`{value}`" for value in kind.variables)
        yield f"{kind.about[0].upper()}{kind.about[1:]}. Values: {values}.\n"
        yield f"```jinja\n{default_template(name).rstrip()}\n```"
