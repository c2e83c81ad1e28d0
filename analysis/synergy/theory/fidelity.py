"""This module has fidelity curves gamma(m): how faithfully m tokens are read, and which fan-in and length suit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.theory.fidelity import capacity, exponential, hyperbolic
from agentsoc.theory.fidelity import hill as hill_curve
from analysis.synergy.theory.arrays import FloatArray, between, fraction, positive
from analysis.synergy.theory.recursion import Lock, organization_exponent
from analysis.synergy.theory.shapes import Shape

FidelityFamily = Literal["exp", "hyp", "hill", "capacity"]
"""Form of a fidelity curve: exponential, hyperbolic, Hill, or the root of the exponential."""


def fidelity(
    m: ArrayLike, family: FidelityFamily, m0: ArrayLike, *, hill: ArrayLike = 1.0, ceiling: ArrayLike = 1.0
) -> FloatArray:
    """Return gamma(m), in [0, ceiling] [families P2, ceiling and capacity X].

    exp: 1 - exp(-m/m0). hyp: m / (m + m0). hill: m^h / (m^h + m0^h). capacity: sqrt(1 - exp(-m/m0)).

    Args:
        m: length of a message, tokens, at least 0.
        family: form of the curve.
        m0: length scale, tokens, above 0.
        hill: exponent h, used by the Hill family.
        ceiling: fidelity of an endless message; real messages are misread even when long.
    """
    m_, scale = between("m", m, 0.0), positive("m0", m0)
    if family == "exp":
        curve = exponential(m_, scale)
    elif family == "hyp":
        curve = hyperbolic(m_, scale)
    elif family == "hill":
        curve = hill_curve(m_, scale, positive("hill", hill))
    elif family == "capacity":
        curve = capacity(m_, scale)
    else:
        raise InputError(f"unknown fidelity family {family!r}", "", "choose one of exp, hyp, hill, capacity")
    return np.asarray(fraction("ceiling", ceiling) * curve, dtype=np.float64)


@dataclass(frozen=True)
class FidelityCurve:
    """The curve is a fidelity family with its parameters, callable as gamma(m)."""

    family: FidelityFamily
    m0: float
    """Length scale, tokens."""
    hill: float = 1.0
    ceiling: float = 1.0

    def __call__(self, m: ArrayLike) -> FloatArray:
        """Return the fidelity of messages of `m` tokens."""
        return fidelity(m, self.family, self.m0, hill=self.hill, ceiling=self.ceiling)


@dataclass(frozen=True)
class FanIn:
    """The object holds a fan-in, the message length that fits with it, and the exponent that the pair reaches."""

    b: int
    m: int
    s: float


def best_fan_in_and_message(
    window: int,
    curve: FidelityCurve,
    rho: float,
    *,
    m_min: int = 1,
    lock: Lock = "after_channel",
    shape: Shape = "lock",
) -> FanIn:
    """Return the odd b and m = floor(W / b) with the largest exponent s(b, gamma(m), rho) under b m <= W [X].

    For weak signals without a token budget; with one, m also enters the cost: use `design.search`.

    Args:
        window: context of a node, tokens.
        curve: fidelity by message length.
        rho: correlation of the votes that a node receives.
        m_min: shortest message to consider, tokens.
        lock: place of the shared draw.
        shape: form of the correlation; under the other shapes than the lock smaller fan-ins win.
    """
    fan_ins = np.arange(3, window // m_min + 1, 2)
    if fan_ins.size == 0:
        raise InputError(f"a window of {window} tokens does not hold 3 messages of {m_min} tokens")
    lengths = window // fan_ins
    exponents = organization_exponent(fan_ins, curve(lengths), rho, lock=lock, shape=shape)
    best = int(np.argmax(exponents))
    return FanIn(int(fan_ins[best]), int(lengths[best]), float(exponents[best]))


def best_fan_in(
    window: int, m: int, gamma: float, rho: float, *, lock: Lock = "after_channel", shape: Shape = "lock"
) -> FanIn:
    """Return the odd b with the largest exponent under b m <= W at a given message length [X].

    The lock always wants the largest b (checked, not proven); the slope of the other shapes saturates, so a small b
    wins (3 or 5 at gamma = 1, somewhat more for lossy messages). Report both.
    """
    fan_ins = np.arange(3, window // m + 1, 2)
    if fan_ins.size == 0:
        raise InputError(f"a window of {window} tokens does not hold 3 messages of {m} tokens")
    exponents = organization_exponent(fan_ins, gamma, rho, lock=lock, shape=shape)
    best = int(np.argmax(exponents))
    return FanIn(int(fan_ins[best]), m, float(exponents[best]))
