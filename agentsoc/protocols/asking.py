"""This module has the prompts of turns whose sources the protocol knows, so that nobody is asked to name them.

A reply of text that has to end with its answer and with the handle of what it rests on is hard for small models: they
write the handle where the answer should be. Where a turn is given just what it is to work on, there is nothing to ask.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.errors import InputError

_ABOVE: Final = """{{% if memory %}}
{{{{ memory | join("\\n") }}}}

{{% endif %}}
{{% if claims %}}
{above}
{{{{ claims | join("\\n") }}}}

{{% endif %}}
{{{{ question }}}}
{{% if instruction %}}

{{{{ instruction }}}}
{{% endif %}}
{{% if note %}}

{{{{ note }}}}
{{% endif %}}
"""
_ANSWER: Final = """
{% if options %}Answer {{ options | join(" or ") }}. {% endif %}End with the answer alone on the last line.
"""


def work_asks(above: str) -> str:
    """Return the template of a turn that writes text, with the words that stand above what it is shown."""
    return _ABOVE.format(above=above)


def answer_asks(above: str) -> str:
    """Return the template of a turn that ends with an answer to the task."""
    return _ABOVE.format(above=above) + _ANSWER


def with_asks(
    society: Society, board: Board, turn: Turn, template: str, purpose: Literal["work", "answer", "revise"]
) -> Turn:
    """Return a turn that is asked by `template`, where it is answered in text and the scenario has none for `purpose`.

    Other forms say what they need themselves: the lines of a short reply, the keys of a JSON object.
    """
    own = (society.prompts, society.group(turn.agent).prompts)
    if any(block.work if purpose == "work" else block.answer or block.revise for block in own):
        return turn
    form, free = society.reply_forms[society.group_index(turn.agent)]
    wanted = turn.form or form
    lines = purpose != "work" and board.problem is not None and bool(board.problem.options)
    if wanted == "text" or (wanted == "short" and free and turn.form is None and not lines):
        return msgspec.structs.replace(turn, asks=template)
    return turn


def worked_text(reply: Reply) -> str | None:
    """Return what a reply to a piece of work says: its answer and its text, whatever the form; None for nothing.

    A voter that asks no model has no words, and an answer that it draws is none.
    """
    said = dict.fromkeys([reply.answer, reply.text] if reply.said is not None else [reply.text])
    return "\n".join([part for part in said if part]) or None


def sourced(turn: Turn, reply: Reply) -> Reply:
    """Return a reply that rests on all that it was given, where it was not asked what it rests on and names nothing."""
    if turn.asks and not reply.uses and not reply.disputes:
        return msgspec.structs.replace(reply, uses=turn.sees)
    return reply


def refuse_inference(society: Society, kind: str) -> None:
    """Refuse `parents: inferred` where texts are passed on and no answers that could be compared.

    Raises:
        InputError: the scenario asks for it.
    """
    if society.parents == "inferred":
        raise InputError(
            f"parents: inferred compares answers before and after, and {kind} passes on texts that are written anew",
            "parents",
            "use parents: cited or visible",
        )
