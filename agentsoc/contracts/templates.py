"""This module checks prompt templates and renders them: Jinja2 in a sandbox, with little of its language.

A template may come from a stranger, in a scenario that somebody sends. It sees texts, numbers and lists of texts, and
of Jinja2 what prompts need: values, conditions, loops over lists, a few filters. It can call nothing, look into no
object, loop within no loop, and what it makes is bounded, so that neither memory nor time runs away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from agentsoc.contracts.part import nearest
from agentsoc.contracts.template_filters import (
    FILTERS,
    MADE_MAX,
    TESTS,
    WORK,
    BadTemplateError,
    bounded,
    is_odd,
    said_as_it_is,
)
from agentsoc.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

Value = str | int | bool | Sequence[str]
"""What a template may be given."""
TEXT_MAX: Final = 16_000
"""Longest template (characters)."""
LOOP_NODES_MAX: Final = 200
"""Pieces of a template that may be inside of one loop."""
_MADE_KEPT: Final = 64
"""Texts that a template has made and that are kept, should the same be asked again (texts)."""
KEPT_CHARS: Final = 4_000
"""Longest of them; a stranger's scenario may have thousands of templates (characters)."""


class Ready:
    """A template that was made a function before; it renders as `Compiled` does, without Jinja2."""

    def __init__(self, write: Callable[[Mapping[str, Any]], list[str]], worked_on: Collection[str]) -> None:
        """Take a function.

        Args:
            write: gives the pieces of the text; every value of the template has to be there.
            worked_on: the values for which `only_says` is not true.
        """
        self._write, self._worked_on = write, frozenset(worked_on)

    def only_says(self, name: str) -> bool:
        """Return whether all that the template does with a value is to put it into the text as it is."""
        return name not in self._worked_on

    def render(self, values: Mapping[str, Value]) -> str:
        """Return the text that the template makes of `values`; see `Compiled.render`."""
        made = "".join(self._write(values))
        bounded(len(made))
        return made.strip()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        cache_size=0,
        finalize=said_as_it_is,
    )
    made.globals.clear()
    made.filters = dict(FILTERS)
    made.tests = {
        "defined": made.tests["defined"],
        "even": lambda value: not is_odd(value),
        "odd": is_odd,
    }
    return made


@lru_cache(maxsize=1)
def _context_of_values() -> Callable[[Mapping[str, Value]], Any]:
    """Return what makes the context of a template here: its values alone, as it sees no globals and sets nothing."""
    from jinja2.nodes import EvalContext
    from jinja2.runtime import Context
    from jinja2.utils import missing

    environment = _environment()
    evaluated = EvalContext(environment, None)

    class Given(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            return missing

    class Values(Context):
        def __init__(self, values: Mapping[str, Value]) -> None:
            self.resolve_or_missing = Given(values).__getitem__  # type: ignore[assignment]

    # what else a context has is the same for all, as a template sets nothing
    shared = Values({})
    shared.parent, shared.vars, shared.blocks, shared.exported_vars = {}, {}, {}, set()
    shared.environment, shared.eval_ctx, shared.name, shared.globals_keys = environment, evaluated, None, set()
    for name, value in vars(shared).items():
        setattr(Values, name, value)
    return Values


class Compiled:
    """A template that was checked and compiled; it is rendered as often as wanted."""

    def __init__(self, text: str, variables: Collection[str], lists: Collection[str]) -> None:
        """Compile `text`.

        Args:
            text: the template.
            variables: the names that it may use.
            lists: those of them that are lists.

        Raises:
            BadTemplateError: it is too long, is no template, or uses a name or a construct that there is not.
        """
        from jinja2 import TemplateError, TemplateSyntaxError

        if len(text) > TEXT_MAX:
            raise BadTemplateError(f"it has {len(text):,} characters, the limit is {TEXT_MAX:,}")
        environment = _environment()
        self._context = _context_of_values()
        self._worked_on: frozenset[str] = frozenset()
        self._made: dict[tuple[object, ...], str] = {}
        try:
            tree = environment.parse(text)
            checker = _Checker(variables, lists)
            checker.check(tree)
            # a template is compiled from what was looked at, and only then are constants in it worked out
            self._used = tuple(sorted(checker.used))
            self._worked_on = frozenset(checker.worked_on)
            self._template = environment.from_string(tree)
            self._pieces = self._template.root_render_func
        except TemplateSyntaxError as error:
            raise BadTemplateError(str(error.message), error.lineno, "see docs/prompts.md") from None
        except (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError) as error:  # also huge integers
            raise BadTemplateError(f"it cannot be compiled: {type(error).__name__}") from None

    def only_says(self, name: str) -> bool:
        """Return whether all that the template does with a value is to put it into the text as it is."""
        return name not in self._worked_on

    def render(self, values: Mapping[str, Value]) -> str:
        """Return the text that the template makes of `values`, without white space around it.

        Raises:
            BadTemplateError: the text would be too long, or a filter got what it cannot take.
        """
        key = tuple([tuple(given) if isinstance(given := values.get(name), list) else given for name in self._used])
        kept = self._made.get(key)
        if kept is not None:
            return kept
        parts: list[str] = []
        size = WORK.chars = 0
        try:
            for part in self._pieces(self._context(values)):
                size += len(part)
                if size > MADE_MAX:
                    bounded(size)
                parts.append(part)
        except BadTemplateError as fault:
            raise BadTemplateError(fault.what, self._line_of(fault), fault.hint) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise BadTemplateError(f"it cannot be rendered: {error}", self._line_of(error)) from None
        made = "".join(parts).strip()
        if len(made) <= KEPT_CHARS:  # in a round many agents are asked the same
            if len(self._made) >= _MADE_KEPT:
                self._made.clear()
            self._made[key] = made
        return made

    def _line_of(self, error: Exception) -> int:
        """Return the line of the template at which rendering met `error`."""
        line, place = 1, error.__traceback__
        while place is not None:
            if place.tb_frame.f_code is self._pieces.__code__:
                line = self._template.get_corresponding_lineno(place.tb_lineno)
            place = place.tb_next
        return line


def parsed(text: str) -> nodes.Template:
    """Return the tree of a template, for whoever makes something else of it; nothing of it is checked."""
    return _environment().parse(text)


@lru_cache(maxsize=512)
def compiled(text: str, variables: tuple[str, ...], lists: tuple[str, ...]) -> Compiled:
    """Return a compiled template, made once for each text; see `Compiled`."""
    return Compiled(text, variables, lists)


def compile_at(text: str, variables: tuple[str, ...], lists: tuple[str, ...], where: str) -> Compiled:
    """Return a compiled template; see `Compiled`.

    Raises:
        InputError: there is something wrong with it; names place and line.
    """
    try:
        return compiled(text, variables, lists)
    except BadTemplateError as fault:
        raise InputError(
            f"the prompt template does not hold: {fault.what}", f"{where}:{fault.line}", fault.hint
        ) from None


def render_at(template: Compiled | Ready, values: Mapping[str, Value], where: str) -> str:
    """Return the text that a template makes; see `Compiled.render`.

    Raises:
        InputError: it cannot be rendered; names place and line.
    """
    try:
        return template.render(values)
    except BadTemplateError as fault:
        raise InputError(
            f"the prompt template does not hold: {fault.what}", f"{where}:{fault.line}", fault.hint
        ) from None


class _Checker:
    """The object looks at every piece of a template before anything of it runs."""

    _KNOWN: Final = frozenset(
        (
            *("Template", "Output", "TemplateData", "Name", "Const", "If", "For", "CondExpr", "Compare", "Operand"),
            *("And", "Or", "Not", "Filter", "Test", "Getattr", "List", "Tuple", "Neg", "Keyword"),
        )
    )

    def __init__(self, variables: Collection[str], lists: Collection[str]) -> None:
        self._variables, self._lists = variables, lists
        self.used: set[str] = set()
        """The values that the template names."""
        self.worked_on: set[str] = set()
        """Those of them that it does more with than to put them into the text."""
        self._said: set[int] = set()

    def check(self, tree: nodes.Template) -> None:
        """Raise `BadTemplateError` for what a template may not hold."""
        self._look(tree, frozenset(), looping=False)

    def _look(self, node: nodes.Node, own: frozenset[str], *, looping: bool) -> int:
        """Check a node with all below it; return how many there are."""
        from jinja2 import nodes

        kind = type(node).__name__
        if kind not in self._KNOWN:
            raise BadTemplateError(f"a prompt template has no {_name_of(kind)}", node.lineno, "see docs/prompts.md")
        if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in own:
            self._require_known(node)
            if id(node) not in self._said:
                self.worked_on.add(node.name)
        elif isinstance(node, nodes.Output):
            self._said.update([id(each) for each in node.nodes if isinstance(each, nodes.Name)])
        elif isinstance(node, nodes.Getattr):
            self._require_loop(node, looping)
            return 1
        elif isinstance(node, nodes.Filter) and (node.name not in FILTERS or node.node is None):
            raise BadTemplateError(f"there is no filter {node.name[:60]}", node.lineno, nearest(node.name, FILTERS))
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            raise BadTemplateError(f"there is no test {node.name[:60]}", node.lineno, nearest(node.name, TESTS))
        elif isinstance(node, nodes.For):
            return self._look_at_loop(node, own, looping)
        return 1 + sum(self._look(child, own, looping=looping) for child in node.iter_child_nodes())

    def _look_at_loop(self, node: nodes.For, own: frozenset[str], looping: bool) -> int:
        """Check a loop: its item is known in its body and its condition alone, its place in the body."""
        inside = own | self._loop_name(node, looping)
        count = 1 + self._look(node.iter, own, looping=looping)
        count += 0 if node.test is None else self._look(node.test, inside, looping=False)
        count += sum(self._look(each, inside, looping=True) for each in node.body)
        count += sum(self._look(each, own, looping=looping) for each in node.else_)
        if count > LOOP_NODES_MAX:
            raise BadTemplateError(f"a loop holds more than {LOOP_NODES_MAX} pieces", node.lineno)
        return count

    def _require_known(self, node: nodes.Name) -> None:
        if node.name not in self._variables:
            what = f"it uses {node.name[:60]!r}, which does not exist here"
            raise BadTemplateError(what, node.lineno, nearest(node.name, self._variables))
        self.used.add(node.name)

    def _require_loop(self, node: nodes.Getattr, looping: bool) -> None:
        from jinja2 import nodes

        inner = node.node
        known = ("first", "index", "last", "length")
        if not (looping and isinstance(inner, nodes.Name) and inner.name == "loop" and node.attr in known):
            raise BadTemplateError(
                f"it looks into an object for {node.attr[:60]!r}",
                node.lineno,
                "only loop.first, loop.last, loop.index and loop.length can be asked for, within a loop",
            )

    def _loop_name(self, node: nodes.For, looping: bool) -> frozenset[str]:
        from jinja2 import nodes

        if looping or node.recursive:
            raise BadTemplateError("a loop stands within a loop", node.lineno, "loop over one list at a time")
        if not isinstance(node.iter, nodes.Name) or node.iter.name not in self._lists:
            raise BadTemplateError("a loop goes over a list", node.lineno, "lists: " + ", ".join(sorted(self._lists)))
        if not isinstance(node.target, nodes.Name) or node.target.name in self._variables:
            raise BadTemplateError("a loop has one name of its own for each item", node.lineno)
        return frozenset((node.target.name,))


def _name_of(kind: str) -> str:
    """Return the name of a construct in words."""
    return {
        "Call": "calls",
        "Assign": "assignments (set)",
        "Macro": "macros",
        "Getitem": "places in lists, such as options[0]: use the filters first and last",
        "Include": "includes",
        "Import": "imports",
        "Extends": "inheritance",
        "Mul": "arithmetic",
        "Add": "arithmetic",
        "Concat": "operator ~",
    }.get(kind, f"construct {kind}")
