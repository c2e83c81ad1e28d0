"""The text of ``prompts.md`` around what follows from the code; `docs.generate` puts both together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agentsoc.contracts.prompts import TEMPLATES, VARIABLES
from agentsoc.protocols.aggregators import CHOOSE
from agentsoc.protocols.auction import AGAIN as BID_AGAIN
from agentsoc.protocols.auction import BID, EXECUTE, MARK, PLANS
from agentsoc.protocols.dag import CRITICISE, IMPROVE
from agentsoc.protocols.experts import ANSWER, ASK, WORK
from agentsoc.protocols.experts import JUDGE as ENOUGH
from agentsoc.protocols.manager import DRAFT, EDIT, MANAGE
from agentsoc.protocols.manager import MERGE as FROM_RESULTS
from agentsoc.protocols.manager import WORK as PIECE
from agentsoc.protocols.moa import AGGREGATE
from agentsoc.protocols.narrated import NARRATE, NARRATED
from agentsoc.protocols.orchestrate import GUIDE, GUIDE_FIRST, JUDGE, PLAN, SYNTHESISE, SYNTHESISE_ALONE
from agentsoc.protocols.refine import AGAIN, CHECK, FIX, REDO
from agentsoc.protocols.resample import CHECK as VERIFY
from agentsoc.protocols.roles import FINISH, WRITE
from agentsoc.protocols.tournament import COMPARE
from agentsoc.protocols.vote import MERGE
from agentsoc.society.calls import repair_line
from agentsoc.society.templates import default_template

INTRODUCTION: Final = """\
What an agent is asked is data. Each kind of question (an answer, an answer after reading others, a check, a merge) has
a template; the defaults below are used where a scenario has none of its own. [Which template asks
when](#which-template-asks-when) has the table by protocol, and [a paper's own prompts](#a-papers-own-prompts) a worked
example. Nothing else is said to an agent: what is not on this page, in your scenario or in its tasks, no agent reads.
(What agents are told of a budget, if you want that, is part of the scenario:
[budgets](budgets.md#what-agents-are-told).) Words such as turn, claim and episode are in the
[vocabulary](vocabulary.md#words).

## Seeing them

- `agentsoc check SCENARIO --prompts` shows, without calling anybody, the first prompt of each template for each role in
  the topology, and the name of the template; what others say in it is made up.
- `agentsoc show RUN --task N --prompts`, with `--agent A` for one agent, shows what was sent in a run and what came
  back: messages, reply, reasoning, tokens, latency, further attempts, and what was read out of the reply. Rounds count
  from 0, so the second round of a debate is round 1. Prompts are in no file of a run; they are written again, and the
  hash of each is compared with the journal's. In Python, `Run(directory).transcript(task, agent)` returns the same as
  objects.
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
  history: own                             # earlier rounds as messages: none, last, own, all
```

A template is [Jinja2](https://jinja.palletsprojects.com/): values in double braces, `{% if %}`, `{% for %}` over a
list, and the filters `capitalize`, `first`, `indent`, `join`, `last`, `length`, `lower`, `trim`, `upper`. `{` and `}`
alone are plain text, so JSON, LaTeX and code can stand in it. A name that does not exist is a fault that `check`
reports with its line and the nearest name; it also tries each template with values of every kind. A template may come
from a stranger: it can call nothing, look into no object, set nothing and nest no loops, and the length of what it
makes is bounded. What a value says is never a template.

The key `prompt` of a group is the older way to write a system prompt, with names in single braces; it still works. An
empty system prompt (`system: ""`) is not sent to a server at all.

`persona` is dealt out by the group's list `personas`, one agent after the other, so that a debate can have an optimist
and a sceptic with one template. Groups with prompts of their own make agents of several kinds:

```yaml
agents:
  - {count: 2, model: local, personas: ["You are an optimist.", "You are a sceptic."]}
  - count: 1
    model: local
    prompts: {revise: "{{ claims | join('; ') }} What is wrong in these? Then answer: {{ question }} {{ form }}"}
```

Three things to know before a default is replaced:

- **Leave `{{ form }}` in, or say the form yourself.** It asks for the reply in the form that the agent's `reply` names,
  which is then read (`auto`: JSON for models behind an API, one line for the embedded one). Without it the template has
  to say how a reply ends; [how replies are read](replies.md) says what is found. JSON is still held to its schema where
  the server takes one, so write `reply: text` beside a template that asks for prose.
- **A template that asks for no handles gets none.** `#1` and `#2` in a reply say which claims it rests on. Where your
  words do not ask for them, claims rest on what replies name by themselves; `parents: visible` or `inferred` in the
  scenario says otherwise ([what agents make of what they are
  shown](metrics.md#what-agents-make-of-what-they-are-shown)).
- **Leave `{{ instruction }}` in, or say it yourself,** in templates that a protocol adds to: the table below has its
  words.

## What is in a prompt

1. The system prompt, then the examples of the purpose.
2. What the agent said before, as it said it, each reply after what the agent was asked: by default its `last` reply;
   with `history: own` all its replies to the task, with `all` also the claims that it was shown then. Where there is no
   room for the exchange, or with `none`, its last reply stands whole in the question (`own`). [A pilot with small
   models](influence.md#the-own-reply-as-a-message) says why this is the default.
3. The question, with [others' claims](#what-an-agent-sees-of-the-others) where the turn is shown some.
4. In a turn of several calls (`iterations`), the reply of the call before and `critique`.
5. After a reply that could not be read, once: the same again with two lines below it,
   "REPAIR".

## What an agent sees of the others

**Whose claims.** Of each agent that it hears by the [topology](scenario-reference.md#topology), the last answer that
this agent gave or agreed to; `roles`, `moa`, `refine` and `orchestrate` choose by their own rules, which the
[protocol's](scenario-reference.md#protocol) page of the reference says. [`attention`](scenario-reference.md#attention)
shows a selection of them instead of all. Nobody sees scores or right answers.

**In which order.** Drawn for each turn, because models prefer places. A claim's handle, #1 or #2, belongs to its place
in this prompt, not to an author. Where claims are compared with each other, the protocol draws the order.

**How much.** What others say keeps its lines and its spelling. `peers_see` says how much of it is shown: `conclusion`
cuts a text that is longer than `message_tokens` in its middle, with a mark, and never loses the answer; `whole` cuts
nothing; `answer` shows the answer alone. What a model *thinks* (the fields `reasoning_content` or `reasoning`, or a
text that begins with `<think>`) is kept apart: it is in the journal, `show --prompts` prints it, no other agent reads
it, and no answer is taken from it.

**What has no room.** When window or budget have no room for all of a prompt, this is left out in turn: what is
remembered of earlier tasks, earlier rounds from the oldest on, the draft, the middle of the own earlier reply, and last
others' claims. Claims that were left out are counted (`claims_left_out` of `claims_due`) and stand in the summary of
the run, in `metrics` and in comparisons. A turn that is to read claims and has no room for any fails; it is not asked
as if nobody had spoken. `check` warns before a run where this is known.

## What a reply rests on

Where claims are shown, a reply that states an answer is asked which of them it rests on, or whether it rests on none. A
reply that names nothing is read all the same; it then rests on no other agent's claim.

| form | what is asked for |
| --- | --- |
| `short` | one line out of a list: `27 #2`, `27 not #1`, `27 none`; the answer alone is not in the list |
| `json` | `uses` and `disputes`, each a list of handles or `none` |
| `text` | a last line `ANSWER #i`, `ANSWER not #i` or `ANSWER none` |

A `short` list of more than 128 such lines is not made; then the answer alone is asked for, as it is in merges. The
lengths that a JSON schema allows follow `max_tokens`, and answers of tasks about numbers are held to a number.
"""


PAPER: Final = """\
## A paper's own prompts

A replication wants the words of the paper. This is the debate on arithmetic of arXiv 2305.14325 (three agents, two
rounds) with the prompts of its published code in place of the defaults:

```yaml
# file: debate-in-the-papers-words.yaml
name: debate-in-the-papers-words
seed: 7
tasks: {kind: arithmetic, count: 2}
agents:
  count: 3
  model: scripted          # put yours here, or run with --model openai/gpt-4o-mini
  max_tokens: 400
  reply: text              # prose: nothing is held to a schema
  history: all             # earlier rounds stay in the conversation, with what others said in them
topology: decentralized    # everybody hears everybody
protocol: {kind: debate, rounds: 2}
peers_see: whole           # solutions are passed on uncut
parents: inferred          # nobody is asked for handles: answers that change or stay say what they rest on
prompts:
  system: ""               # none, as in the paper
  answer: >-
    Can you solve the following math problem? {{ question }} Explain your reasoning. Your final answer should be a
    single numerical number, in the form \\boxed{answer}, at the end of your response.
  revise: |-
    These are the solutions to the problem from other agents:

    {{ claims | join("\\n\\n") }}

    Using the solutions from other agents as additional information, can you provide your answer to the math problem?
    The original math problem is {{ question }}. Your final answer should be a single numerical number, in the form \\boxed{answer}, at the end of your response.
  claim: "One agent solution: ```{{ text or answer }}```"
```

```console
$ agentsoc check debate-in-the-papers-words.yaml --prompts
round 0, agent 0 (peer): template answer
...
round 1, agent 0 (peer): template revise, 2 claims shown (made up)
...
    These are the solutions to the problem from other agents:
...
    One agent solution: ```answer of 1```
...
$ agentsoc run debate-in-the-papers-words.yaml --out runs/paper --quiet
...
$ agentsoc show runs/paper --task 0 --prompts --agent 2
...
```

What still differs: the order in which the others' solutions are shown is drawn for each turn; a reply in which no
answer is found is asked for once more (`calls: {repair: false}` turns that off); the vote at the end counts answers as
[replies are read](replies.md) here. The paper's tasks go into a file ([your own tasks](replies.md#tasks-of-your-own)).
The other [methods of the literature](methods.md) are done in the same way: take the preset or the scenario, look up its
templates in the table above, and write those.
"""  # noqa: E501


ASKED: Final = (
    ("`vote`", "everybody, in round 0", "`answer`", ""),
    ("`vote`, `by: model`", "agent 0, after all have answered", "`merge`", MERGE),
    ("`aggregate`", "who hears nobody; on a chain, who hears one agent", "`answer`; `revise`", ""),
    ("`aggregate`, `by: model`", "who hears several", "`merge`", MERGE),
    ("`vote`, `aggregate`, `moa`, `by: judge`", "who chooses", "`choose`", CHOOSE),
    ("`debate`", "in round 0; in later rounds", "`answer`; `revise`", ""),
    ("`dag`", "who builds on nobody", "`answer`", ""),
    ("`dag`", "a critic on an edge; key `checks`", "`check`", CRITICISE),
    ("`dag`", "who builds on others; key `instruction`", "`revise`", IMPROVE),
    ("`tournament`", "everybody, first", "`answer`", ""),
    ("`tournament`", "who judges a match", "`choose`", COMPARE),
    ("`narrated-choice`", "everybody, first", "`answer`", ""),
    ("`narrated-choice`", "a narrator; below it stand the calls of tools; key `asks`", "`work` *", NARRATE),
    ("`narrated-choice`", "the judge", "`choose`", CHOOSE),
    ("`auction`", "everybody, who bids; then each juror, of each plan", "`work` *", f"{BID} / {MARK}"),
    ("`auction`, `memory: kept`", "who bids again; below it stand plans that lost and won", "`work` *", BID_AGAIN),
    ("`auction`", "the winner", "`revise`", EXECUTE),
    ("`manager`", "the lead, who drafts the work", "`work` *", DRAFT),
    ("`manager`", "the lead, who may edit it; below it stand the pieces", "`work` *", EDIT),
    ("`manager`", "a worker; what tools gave before it stands below", "`work` *", "the piece of work, in `question`"),
    ("`manager`", "the lead, at the end", "`merge`", FROM_RESULTS),
    ("`placebo`", "as in `debate`, with what was said about another question", "`answer`; `revise`", ""),
    ("`relay`", "who hears nobody; who hears somebody", "`answer`; `revise`", ""),
    ("`moa`", "the first layer", "`answer`", ""),
    ("`moa`", "later layers and the aggregator", "`merge`", AGGREGATE),
    ("`refine`", "the author, first", "`answer`", ""),
    ("`refine`", "the critic", "`check`", CHECK),
    ("`refine`", "the author, whose draft was rejected", "`revise` *", FIX),
    ("`refine`, `critic: none`", "the author, again", "`answer`", AGAIN),
    ("`roles`", "a stage that writes", "`work` *", 'the stage\'s `asks`, in `question`, after "Your part:"'),
    ("`roles`", "a stage that checks", "`check`", "the stage's `asks`"),
    ("`roles`", "the last stage", "`answer`; with artefacts shown `revise` *", "the stage's `asks`"),
    ("`resample`", "a sample", "`answer`", ""),
    ("`resample`, `until: verifier`", "the verifier", "`check`", VERIFY),
    ("`orchestrate`", "the lead, who plans", "`plan`", PLAN),
    ("`orchestrate`, `guidance: each`", "the lead, to each worker, before there are findings", "`guide`", GUIDE_FIRST),
    ("`orchestrate`, `guidance: each`", "the lead, to each worker, later", "`guide`", GUIDE),
    ("`orchestrate`", "a worker; among peers, with their findings", "`work`", "the piece of work, in `question`"),
    ("`orchestrate`, `decision: lead`", "the lead, who may stop", "`judge`", JUDGE),
    ("`orchestrate`", "the lead, at the end", "`merge`", SYNTHESISE),
    ("`orchestrate`", "the lead, at the end, when all work has failed", "`merge`", SYNTHESISE_ALONE),
    ("`play`", "who speaks, before moves; who moves", "`talk`; `act`", ""),
    ("`experts`", "the lead, who asks; below it stands who has what", "`plan`", ASK),
    ("`experts`", "who is asked; below it stands what it has", "`work`", WORK),
    ("`experts`, `decision: lead`", "the lead, who may stop asking", "`judge`", ENOUGH),
    ("`experts`", "the lead, at the end", "`merge`", ANSWER),
    ("`dti`", "as in the protocol inside it; who is called to merge", "`merge`", "its key `instruction`"),
)
"""Protocol, whose turn it is, the template that asks, and what the protocol adds as ``instruction``."""


def prompts_page(banner: str) -> str:
    """Return the page."""
    text = INTRODUCTION.replace("REPAIR", repair_line("WHAT").replace("\n", " / "))
    return "\n".join(["# Prompts", "", banner, "", text, *_asked(), PAPER, *_templates()]) + "\n"


def _asked() -> Iterator[str]:
    yield "## Which template asks when\n"
    yield "`instruction` is what a protocol adds; the default templates put it below the question.\n"
    yield "| protocol | whose turn | template | `instruction` |"
    yield "| --- | --- | --- | --- |"
    for row in ASKED:
        yield "| " + " | ".join(row) + " |"
    yield "\nNo built-in protocol asks by the template `vote`; it is for protocols of your own. Rows with a star are"
    yield "asked in the words below, where the reply is free text and the scenario has no template of that name."
    for name, text in (
        ("stages that write", WRITE),
        ("the last stage", FINISH),
        ("a rejected draft", REDO),
        ("a narrator", NARRATED),
        ("an auction", PLANS),
        ("a manager", MANAGE),
        ("its workers", PIECE),
    ):
        yield f"\n{name[0].upper()}{name[1:]}:\n\n```jinja\n{text.strip()}\n```"
    yield ""


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
