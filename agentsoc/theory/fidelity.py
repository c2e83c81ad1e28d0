"""This module has fidelity curves gamma(m): the factor by which a message of m tokens keeps its signal.

A reader's signal is gamma times the sender's (docs/phase-theory.md, "The objects"). Four families: the exponential, the
hyperbolic and the Hill curve are those attributed to Liu, Kong and Pei (arXiv:2601.17311); the root of the exponential,
the capacity-like curve, is an extension of this project.
"""

from __future__ import annotations

from agentsoc.theory.elementary import Real, expm1, power, sqrt


def exponential(m: Real, m0: Real) -> Real:
    """Return 1 - exp(-m/m0) for messages of m >= 0 tokens on the scale m0 > 0 (tokens)."""
    return -expm1(-m / m0)


def hyperbolic(m: Real, m0: Real) -> Real:
    """Return m / (m + m0) for messages of m >= 0 tokens on the scale m0 > 0 (tokens)."""
    return m / (m + m0)


def hill(m: Real, m0: Real, h: Real) -> Real:
    """Return m^h / (m^h + m0^h), with exponent h > 0; h = 1 is the hyperbolic curve."""
    grown = power(m, h)
    return grown / (grown + power(m0, h))


def capacity(m: Real, m0: Real) -> Real:
    """Return sqrt(1 - exp(-m/m0)), which rises steeply from 0 as the capacity of a noisy channel lets it."""
    return sqrt(exponential(m, m0))
