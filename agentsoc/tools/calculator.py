"""`calculator`: arithmetic on one expression, exact where the numbers allow it, bounded in time and size."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Final, Literal

from agentsoc.contracts.tools import Effect, Tool, ToolError

LENGTH_MAX: Final = 500
"""Longest expression (characters)."""
_DIGITS_MAX: Final = 1_000
"""Longest number that is worked with (decimal digits, above and below the line)."""
_DECIMALS: Final = 12
_TOO_LONG: Final = "the number grows too long"
_BITS: Final = int(_DIGITS_MAX * 3.33)
Number = Fraction | float

_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "atan": math.atan,
}  # fmt: skip
_EXACT: Final = ("abs", "min", "max", "round", "floor", "ceil", "gcd", "factorial")
_NAMES: Final = {"pi": math.pi, "e": math.e}
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


class Calculator(Tool):
    """Works out an arithmetic expression: + - * / // % **, brackets, sqrt, log, min, max, round and the like."""

    effect: ClassVar[Effect] = "pure"
    quick: ClassVar[bool] = True

    kind: Literal["calculator"] = "calculator"

    def describe(self) -> str:
        """Return what it does."""
        return "Works out an arithmetic expression, such as 12 * (3 + 4.5) or round(2 / 7, 3)."

    def arguments(self) -> Mapping[str, Any]:
        """Return the schema of its one argument."""
        return {
            "type": "object",
            "properties": {"expression": {"type": "string", "maxLength": LENGTH_MAX}},
            "required": ["expression"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Return the value of the expression."""
        return value_text(worked_out(str(arguments["expression"])))


def worked_out(expression: str) -> Number:
    """Return the value of an expression: a fraction where everything in it is exact, else a float.

    Raises:
        ToolError: it is no arithmetic, has no value, or its numbers grow too long.
    """
    text = expression.strip().replace("^", "**").replace("×", "*").replace("÷", "/").replace("−", "-")
    try:
        tree = ast.parse(text[:LENGTH_MAX], mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError("error", f"this is no arithmetic: {expression[:80]}") from None
    try:
        whole = _whole(tree.body)
        return _value(tree.body) if whole is None else Fraction(whole)
    except ZeroDivisionError:
        raise ToolError("error", "a division by zero") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise ToolError("error", str(error)) from None
    except RecursionError:
        raise ToolError("error", "the brackets are too deep") from None


def _whole(node: ast.expr) -> int | None:
    """Return the value of sums, differences and products of whole numbers, which need no fractions; else None."""
    match node:
        case ast.Constant(value=number) if type(number) is int:
            found: int = number
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as op, right=right):
            one = _whole(left)
            other = None if one is None else _whole(right)
            if one is None or other is None:
                return None
            found = _OPERATORS[type(op)](one, other)
        case _:
            return None
    if found.bit_length() > 2 * _BITS:
        raise ToolError("error", _TOO_LONG)
    return found


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int(number)):
            return _bounded(Fraction(number))
        case ast.Constant(value=float(number)):
            return _bounded(Fraction(repr(number)) if math.isfinite(number) else number)
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS or name in _EXACT:
            return _called(name, [_value(each) for each in args])
        case _:
            pass
    raise ToolError("error", f"arithmetic alone is allowed, not {type(node).__name__}")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent.numerator) * size > _BITS:
            raise ToolError("error", _TOO_LONG)
        return base**exponent.numerator
    return _bounded(math.pow(base, exponent))


def _called(name: str, values: list[Number]) -> Number:
    if name in _FUNCTIONS:
        return _bounded(_FUNCTIONS[name](*values))
    if not values:
        raise ToolError("error", f"{name} of nothing")
    first = values[0]
    if name == "abs":
        return -first if first < 0 else first
    if name in ("min", "max"):
        values.sort()
        return values[0 if name == "min" else -1]
    if name == "round":
        places = int(values[1]) if len(values) > 1 else 0
        return Fraction(round(Fraction(first), max(-_DIGITS_MAX, min(places, _DIGITS_MAX))))
    if name in ("floor", "ceil"):
        return Fraction(math.floor(first) if name == "floor" else math.ceil(first))
    whole = [int(value) for value in values]
    if whole != values:
        raise ToolError("error", f"{name} takes whole numbers")
    if name == "gcd":
        return Fraction(math.gcd(*whole))
    if len(whole) != 1 or not 0 <= whole[0] <= 400:
        raise ToolError("error", "factorial takes one whole number from 0 to 400")
    return Fraction(math.factorial(whole[0]))


def _bounded(value: Any) -> Number:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > 2 * _BITS:
            raise ToolError("error", _TOO_LONG)
        return value
    if isinstance(value, int):
        return Fraction(value)
    if not isinstance(value, float) or not math.isfinite(value):
        raise ToolError("error", "the result is no finite number")
    return value


def value_text(value: Number) -> str:
    """Return a number as people write it: whole, with its decimals where they end soon, else to twelve digits."""
    if isinstance(value, Fraction):
        if value.denominator == 1:
            return str(value.numerator)
        scaled = value * 10**_DECIMALS
        if scaled.denominator == 1:
            sign, digits = "-" if scaled < 0 else "", str(abs(scaled.numerator)).rjust(_DECIMALS + 1, "0")
            return f"{sign}{digits[:-_DECIMALS]}.{digits[-_DECIMALS:]}".rstrip("0")
        if abs(value) >= 10**15 or abs(value) < Fraction(1, 10**6):
            return f"{float(value):.12g}" if abs(value) < 10**300 else str(round(value))
        value = float(value)
    return f"{value:.12g}"
