"""Write the default prompt templates as functions: ``python -m tests.default_templates``.

The templates are files of Jinja2 (``agentsoc/society/templates``), which people read and copy. A run that keeps to them
asks for the functions that this makes of them instead, so that it neither loads Jinja2 nor compiles anything.
`tests/unit/test_templates.py` holds that both say the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from jinja2 import nodes

from agentsoc.contracts.prompts import TEMPLATES
from agentsoc.contracts.templates import Compiled, parsed
from agentsoc.society.templates import default_template

FILE: Final = Path(__file__).parents[1] / "agentsoc" / "society" / "default_templates.py"
HEAD: Final = '''"""Default prompt templates as functions, made of their files by ``python -m tests.default_templates``.

Do not edit: change a file of ``agentsoc/society/templates`` and write this one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentsoc.contracts.template_filters import joined
from agentsoc.contracts.templates import Ready

Given = Mapping[str, Any]
'''
OPERATORS: Final = {"eq": "==", "ne": "!=", "in": "in", "notin": "not in"}


def expression(node: nodes.Node) -> str:
    """Return an expression of a template as one of Python."""
    match node:
        case nodes.Name():
            return f"given[{node.name!r}]"
        case nodes.Const():
            return repr(node.value)
        case nodes.List():
            return f"[{', '.join(map(expression, node.items))}]"
        case nodes.Not():
            return f"(not {expression(node.node)})"
        case nodes.And() | nodes.Or():
            word = "and" if isinstance(node, nodes.And) else "or"
            return f"({expression(node.left)} {word} {expression(node.right)})"
        case nodes.Compare(ops=[one]):
            return f"({expression(node.expr)} {OPERATORS[one.op]} {expression(one.expr)})"
        case nodes.Filter(name="join", args=[between]) if node.node is not None:
            return f"joined({expression(node.node)}, {expression(between)})"
    raise NotImplementedError(f"a default template holds {node}")


def statements(body: list[nodes.Node], indent: str) -> list[str]:
    """Return the lines of Python that say what a part of a template says."""
    lines: list[str] = []
    for node in body:
        if isinstance(node, nodes.Output):
            for piece in node.nodes:
                text = repr(piece.data) if isinstance(piece, nodes.TemplateData) else f"str({expression(piece)})"
                lines.append(f"{indent}say({text})")
        elif isinstance(node, nodes.If):
            word = "if"
            for branch in (node, *node.elif_):
                lines.append(f"{indent}{word} {expression(branch.test)}:")
                lines += statements(branch.body, f"{indent}    ")
                word = "elif"
            if node.else_:
                lines += [f"{indent}else:", *statements(node.else_, f"{indent}    ")]
        else:
            raise NotImplementedError(f"a default template holds {node}")
    return lines


def source() -> str:
    """Return the module's text; templates that say the same share a function."""
    parts, ready, names = [HEAD], [], dict[str, str]()
    for name, kind in TEMPLATES.items():
        text = default_template(name)
        if text not in names:
            names[text] = f"_{name}"
            body = statements(parsed(text).body, "    ")
            head = [
                f"\n\ndef _{name}(given: Given) -> list[str]:",
                "    parts: list[str] = []",
                "    say = parts.append",
            ]
            parts.append("\n".join([*head, *body, "    return parts\n"]))
        template = Compiled(text, kind.variables, kind.lists)
        worked_on = [value for value in kind.variables if not template.only_says(value)]
        ready.append(f"    {name!r}: Ready({names[text]}, {tuple(worked_on)!r}),\n")
    parts.append(f"\n\nDEFAULTS: Final[Mapping[str, Ready]] = {{\n{''.join(ready)}}}\n")
    parts.append('"""Each default template by its name."""\n')
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(FILE)], check=True)
