"""Default prompt templates as functions, made of their files by ``python -m tests.default_templates``.

Do not edit: change a file of ``agentsoc/society/templates`` and write this one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentsoc.contracts.template_filters import joined
from agentsoc.contracts.templates import Ready

Given = Mapping[str, Any]


def _system(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say("You are agent ")
    say(str(given["name"]))
    say(" of ")
    say(str(given["n_agents"]))
    say(".")
    if given["persona"]:
        say(" ")
        say(str(given["persona"]))
    return parts


def _answer(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["memory"]:
        say(str(joined(given["memory"], "\n")))
        say("\n\n")
    if given["own"]:
        say(str(given["own"]))
        say("\n\n")
    say(str(given["question"]))
    say("\n")
    if given["instruction"]:
        say("\n")
        say(str(given["instruction"]))
        say("\n")
    if given["note"]:
        say("\n")
        say(str(given["note"]))
        say("\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _revise(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["memory"]:
        say(str(joined(given["memory"], "\n")))
        say("\n\n")
    if given["claims"]:
        say("Others said:\n")
        say(str(joined(given["claims"], "\n")))
        say("\n\n")
    if given["own"]:
        say(str(given["own"]))
        say("\n\n")
    say(str(given["question"]))
    say("\n")
    if given["instruction"]:
        say("\n")
        say(str(given["instruction"]))
        say("\n")
    if given["note"]:
        say("\n")
        say(str(given["note"]))
        say("\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _merge(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["memory"]:
        say(str(joined(given["memory"], "\n")))
        say("\n\n")
    if given["claims"]:
        say("Others said:\n")
        say(str(joined(given["claims"], "\n")))
        say("\n\n")
    say(str(given["question"]))
    say("\n")
    if given["instruction"]:
        say("\n")
        say(str(given["instruction"]))
        say("\n")
    if given["note"]:
        say("\n")
        say(str(given["note"]))
        say("\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _act(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["memory"]:
        say(str(joined(given["memory"], "\n")))
        say("\n\n")
    say(str(given["question"]))
    say("\n")
    if given["claims"]:
        say("\nOthers said:\n")
        say(str(joined(given["claims"], "\n")))
        say("\n")
    if given["instruction"]:
        say("\n")
        say(str(given["instruction"]))
        say("\n")
    if given["note"]:
        say("\n")
        say(str(given["note"]))
        say("\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _talk(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["memory"]:
        say(str(joined(given["memory"], "\n")))
        say("\n\n")
    say(str(given["question"]))
    say("\n")
    if given["claims"]:
        say("\nOthers said:\n")
        say(str(joined(given["claims"], "\n")))
        say("\n")
    if given["instruction"]:
        say("\n")
        say(str(given["instruction"]))
        say("\n")
    if given["note"]:
        say("\n")
        say(str(given["note"]))
        say("\n")
    say("Say to the others, in a few sentences, what you think should be done.")
    return parts


def _tools(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["tools"]:
        say("You may call tools before you answer:\n")
        say(str(joined(given["tools"], "\n")))
        say("\n")
    say('To call, reply with nothing but {"calls": [{"tool": a name, "arguments": an object}]}, at most ')
    say(str(given["calls_max"]))
    say(" at once; you are then told what they gave. Replies that may call: ")
    say(str(given["calls_left"]))
    say(".\nIf you call none, reply like this:\n")
    say(str(given["form"]))
    return parts


def _results(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say(str(joined(given["results"], "\n")))
    say("\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _critique(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say("Improve your reply or confirm it.\n")
    if given["form"]:
        say("\n")
        say(str(given["form"]))
        say("\n")
    return parts


def _claim(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say("#")
    say(str(given["number"]))
    say(" agent ")
    say(str(given["agent"]))
    say(":")
    if not given["text"]:
        say(" ")
        say(str((given["answer"] or "(no answer)")))
    elif given["stated"]:
        say(" ")
        say(str(given["text"]))
    elif given["answer"]:
        say(" ")
        say(str(given["answer"]))
        say(" - ")
        say(str(given["text"]))
    else:
        say(" (no answer) - ")
        say(str(given["text"]))
    return parts


def _own(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say("You said before:\n")
    say(str(given["said"]))
    return parts


def _form_json(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    say("Reply with one JSON object that has the keys")
    if given["purpose"] == "judge":
        say(' "stop" (true or false),')
    if (given["purpose"] in ["plan", "guide"]) and given["targets"]:
        say(' "subtasks" (a list of objects with the keys "to", an agent\'s number, and "task", what it is to do),')
    if given["purpose"] == "check":
        say(' "accept" (true or false),')
    if given["purpose"] == "choose":
        say(' "best" (# and the number of the best line),')
    if given["purpose"] in ["answer", "merge", "work", "vote"]:
        say(' "answer" (')
        if given["options"]:
            say(str(joined(given["options"], " or ")))
        elif given["numeric"]:
            say("a ")
            if given["whole"]:
                say("whole ")
            say("number")
        else:
            say("what you answer")
        say("),")
    if given["purpose"] == "act":
        if given["options"]:
            say(' "answer" (')
            say(str(joined(given["options"], " or ")))
            say("),")
        else:
            say(' "action" (by this JSON Schema: ')
            say(str(given["action"]))
            say("),")
    if given["cites"]:
        say(
            ' "uses" (a list of the lines that convinced you, each as # and its number, or of "none"), "disputes" (a list of the lines that are wrong, in the same way),'
        )
    say(' "why" (one sentence)')
    if given["purpose"] in ["answer", "merge", "work"]:
        say(', "confidence" (0 to 1)')
    say(".")
    return parts


def _form_short(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["purpose"] == "judge":
        say('Reply "stop" or "go on".\n')
    elif given["purpose"] == "check":
        say('Reply "accept" if the answer above is right, "reject" if it is wrong.\n')
    elif given["purpose"] == "choose":
        say("Reply with the line of the best answer: #1 to #")
        say(str(given["n_claims"]))
        say(".\n")
    elif (given["purpose"] in ["plan", "guide"]) and given["targets"]:
        say("Write one line for each agent: agent number: what to do.\n")
    elif given["cites"]:
        if given["options"]:
            say("Answer ")
            say(str(joined(given["options"], " or ")))
        elif given["numeric"]:
            say("Answer with a ")
            if given["whole"]:
                say("whole ")
            say("number")
        else:
            say("Answer in a few words")
        say(
            " and, on the same line, what it rests on: #i if line i convinced you, not #i if line i is wrong, none if you used none of them.\n"
        )
    elif given["options"]:
        if not given["options_said"]:
            say("Answer ")
            say(str(joined(given["options"], " or ")))
            say(".\n")
    elif given["numeric"]:
        say("Answer with a ")
        if given["whole"]:
            say("whole ")
        say("number.\n")
    else:
        say("Answer in a few words.\n")
    return parts


def _form_text(given: Given) -> list[str]:
    parts: list[str] = []
    say = parts.append
    if given["purpose"] == "judge":
        say('Reply "stop" or "go on".\n')
    elif given["purpose"] == "check":
        say('Reply "accept" if the answer above is right, "reject" if it is wrong.\n')
    elif given["purpose"] == "choose":
        say("Reply with the line of the best answer: #1 to #")
        say(str(given["n_claims"]))
        say(".\n")
    elif (given["purpose"] in ["plan", "guide"]) and given["targets"]:
        say("Write one line for each agent: agent number: what to do.\n")
    elif given["cites"]:
        say(
            "End with one line: your answer and, behind it, what it rests on: #i if line i convinced you, not #i if line i is wrong, none if you used none of them."
        )
        if given["options"]:
            say(" The answer is ")
            say(str(joined(given["options"], " or ")))
            say(".")
        elif given["numeric"]:
            say(" The answer is a ")
            if given["whole"]:
                say("whole ")
            say("number.")
    elif given["options"]:
        say("Answer ")
        say(str(joined(given["options"], " or ")))
        say(". End with the answer alone on the last line.\n")
    else:
        say("End with the answer alone on the last line.\n")
    return parts


DEFAULTS: Final[Mapping[str, Ready]] = {
    "system": Ready(_system, ("persona",)),
    "answer": Ready(_answer, ("own", "memory", "instruction", "note", "form")),
    "revise": Ready(_revise, ("claims", "own", "memory", "instruction", "note", "form")),
    "merge": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "vote": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "judge": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "check": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "choose": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "plan": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "guide": Ready(_merge, ("claims", "memory", "instruction", "note", "form")),
    "work": Ready(_revise, ("claims", "own", "memory", "instruction", "note", "form")),
    "act": Ready(_act, ("claims", "memory", "instruction", "note", "form")),
    "talk": Ready(_talk, ("claims", "memory", "instruction", "note")),
    "tools": Ready(_tools, ("tools",)),
    "results": Ready(_results, ("results", "form")),
    "critique": Ready(_critique, ("form",)),
    "claim": Ready(_claim, ("answer", "text", "stated")),
    "own": Ready(_own, ()),
    "form_json": Ready(_form_json, ("purpose", "options", "numeric", "whole", "cites", "targets")),
    "form_short": Ready(_form_short, ("purpose", "options", "options_said", "numeric", "whole", "cites", "targets")),
    "form_text": Ready(_form_text, ("purpose", "options", "numeric", "whole", "cites", "targets")),
}
"""Each default template by its name."""
