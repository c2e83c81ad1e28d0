"""This module scores answers by reasoning_gym's verifiers and lets no answer harm the process that scores it.

Some of these verifiers evaluate an answer as Python or hand it to sympy, which evaluates it too; some loop as often as
a number in the answer says; a few take nonsense for right. An answer comes from a model, so it is read first, and one
that a verifier must not see scores 0. Everything here is a pure function of entry and answer, with no time limit that
could decide a score.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any, Final

from agentsoc.contracts.task import normalise
from agentsoc.tasks.gym_source import quiet

CHARS_MAX: Final = 2_000
"""Longest answer that is scored, unless four times the reference is longer (characters)."""

EVALUATES: Final = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
"""Families whose verifier calls ``eval`` on an answer that is not right as it stands: only literals get there."""
SYMBOLIC: Final = frozenset(
    {"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"}
)
"""Families whose verifier hands the answer to ``sympy.parse_expr``: only plain formulas get there."""
EXACT: Final = frozenset({"game_of_life_halting"})
"""Families whose verifier takes any text for right: compared with the reference here."""
STRUCTURED: Final = frozenset({"codeio", "propositional_logic"})
"""Families that build trees at a cost of a high power of the answer's size: they get short answers only."""
FORBIDDEN: Final = {
    "coin_flip": re.compile(r"[eE][-+]?\d{4,}"),  # becomes an integer of that many digits
    "complex_arithmetic": re.compile(r"nan|inf", re.IGNORECASE),  # scores as right
    "rush_hour": re.compile(r"\d{4,}"),  # moves a car so many times
}
"""What an answer must not contain, by family."""

_FUNCTIONS: Final = frozenset(
    ("sin cos tan sec csc cot asin acos atan arcsin arccos arctan sinh cosh tanh exp log ln sqrt Abs abs").split()  # noqa: SIM905
)
_LETTERS = re.compile(r"[A-Za-z0-9 .+*/()-]*")
_NODES_MAX: Final = 120
_DEGREE_MAX: Final = 48
_NESTED_MAX: Final = 3


def score(data: Any, item: dict[str, Any], answer: str) -> float:
    """Return the score in [0, 1] of `answer` to `item` by the verifier of the data set `data`.

    The reference itself scores 1. An answer that cannot be read safely, or on which the verifier fails, scores 0.
    """
    reference = item["answer"]
    if answer == reference:
        return 1.0
    known = reference if isinstance(reference, str) else ""
    family = str(item["metadata"].get("source_dataset", ""))
    if family in EXACT:
        return 1.0 if normalise(answer) == normalise(known) else 0.0
    if not _may_be_seen(family, known, answer):
        return 0.0
    if family in EVALUATES and not _is_literal(answer):
        accepted = {known, *item["metadata"].get("valid_answers", ())}
        return 1.0 if answer.strip() in {text.strip() for text in accepted} else 0.0
    try:
        with quiet():
            value = float(data.score_answer(answer, entry=item))
    except Exception:  # a verifier may fail in any way on what a model writes
        return 0.0
    return min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0


def _may_be_seen(family: str, reference: str, answer: str) -> bool:
    if len(answer) > max(CHARS_MAX, 4 * len(reference)):
        return False
    if family in STRUCTURED and len(answer) > 2 * len(reference) + 300:
        return False
    if family in FORBIDDEN and FORBIDDEN[family].search(answer):
        return False
    return family not in SYMBOLIC or is_formula(answer, reference)


def _is_literal(answer: str) -> bool:
    try:
        ast.literal_eval(answer.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def is_formula(text: str, reference: str = "") -> bool:
    """Return whether `text` is arithmetic of bounded size: numbers, names of one letter, + - * / **, known functions.

    Names that occur in `reference` are allowed as well. No attributes, no subscripts, no other calls: nothing by which
    a formula could reach beyond itself. Degree, length and nesting are bounded, so that expanding it ends.
    """
    if not _LETTERS.fullmatch(text):
        return False
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    if sum(1 for _ in ast.walk(tree)) > 4 * _NODES_MAX + len(reference):
        return False
    names = {*re.findall(r"[A-Za-z]\w*", reference), "pi"}
    try:
        return _degree(tree, names, 0) <= max(_DEGREE_MAX, 2 * _reference_degree(reference, names))
    except (_NotPlainError, RecursionError):
        return False


class _NotPlainError(Exception):
    """The error says that a formula holds something that does not belong there."""


def _reference_degree(reference: str, names: set[str]) -> float:
    try:
        return _degree(ast.parse(reference.strip(), mode="eval").body, names, 0)
    except (SyntaxError, ValueError, MemoryError, RecursionError, _NotPlainError):
        return 0.0


def _degree(node: ast.AST, names: set[str], nested: int) -> float:
    """Return a bound on the degree of a formula when it is multiplied out; numbers count as variables do."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e30:
            return 1.0
        case ast.Name(id=name) if name in names or (len(name) == 1 and name.isalpha()):
            return 1.0
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _degree(operand, names, nested)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return max(_degree(left, names, nested), _degree(right, names, nested))
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
            return _degree(left, names, nested) + _degree(right, names, nested)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _degree(left, names, nested) * max(1.0, _exponent(right, names, nested))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            if nested >= _NESTED_MAX:
                raise _NotPlainError
            return 1.0 + _degree(argument, names, nested + 1)
        case _:
            raise _NotPlainError


def _exponent(node: ast.AST, names: set[str], nested: int) -> float:
    """Return the size of a numeric exponent; of any other its degree."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return abs(float(value)) if abs(value) < 1e6 else math.inf
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _exponent(operand, names, nested)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Add() | ast.Sub(), right=right):
            # 9**(9*9): the value may be the product of what stands there
            return max(2.0, _exponent(left, names, nested)) * max(2.0, _exponent(right, names, nested))
        case ast.BinOp(left=left, op=ast.Div()):
            return _exponent(left, names, nested)
        case ast.BinOp(op=ast.Pow()):
            raise _NotPlainError
        case _:
            return 1.0 + _degree(node, names, nested)
