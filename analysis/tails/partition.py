"""This module computes the normalising constant of the power law with exponential cut-off to double precision.

W(alpha, lambda, q) = sum (or integral) over x >= q of (x/q)^-alpha exp(-lambda (x - q)). The sum is taken term by term
until Euler-Maclaurin holds and then as an integral with corrections; the integral is a composite Gauss-Legendre rule in
log x, where the integrand is smooth. lambda = 0 is allowed for alpha > 1 (the power law itself).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

F64 = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_EXPONENT = 42.0
"""Parts of the integrand below exp(-42) of its start are left out."""
_CORRECTIONS = np.array([-1 / 12, 1 / 720, -1 / 30240, 1 / 1209600])
"""-B_2k / (2k)! for k = 1..4, the weights of the odd derivatives in the Euler-Maclaurin formula."""


@compiled
def log_partition(alpha: float, rate: float, q: float, discrete: bool) -> float:
    """Return log W, the log of the normaliser relative to its first term; infinite where it diverges.

    Args:
        alpha: exponent, any real; > 1 if `rate` is 0.
        rate: lambda >= 0, per unit of x.
        q: xmin > 0.
        discrete: sum over q, q + 1, ... instead of integrating.
    """
    if rate < 0.0 or (rate == 0.0 and alpha <= 1.0):
        return math.inf
    if not discrete:
        return math.log(_integral(alpha, rate, q))
    total = 0.0
    x = q
    far = 12.0 + 2.0 * abs(alpha)
    while x < far or rate > 0.6:
        w = math.exp(-alpha * math.log(x / q) - rate * (x - q))
        total += w
        x += 1.0
        if w < 1e-18 * total and rate * x > abs(alpha):
            return math.log(total)
    scale = math.exp(-alpha * math.log(x / q) - rate * (x - q))
    derivative = np.empty(8)
    derivative[0] = 1.0
    for n in range(7):
        slope = alpha / x + rate
        value, falling = 0.0, slope
        choose = 1.0
        for j in range(n + 1):
            value -= choose * falling * derivative[n - j]
            choose = choose * (n - j) / (j + 1)
            falling = -falling * (j + 1) / x if j > 0 else -alpha / (x * x)
        derivative[n + 1] = value
    rest = _integral(alpha, rate, x) + 0.5
    for j in range(4):
        rest += _CORRECTIONS[j] * derivative[2 * j + 1]
    return math.log(total + scale * rest)


@compiled
def _integral(alpha: float, rate: float, q: float) -> float:
    """Return the integral from q of (x/q)^-alpha exp(-rate (x - q)) dx."""
    if rate == 0.0:
        return q / (alpha - 1.0)
    b, c = 1.0 - alpha, rate * q
    reach = math.log1p(_EXPONENT / c)
    for _ in range(6):
        reach = math.log1p((_EXPONENT + max(b, 0.0) * reach) / c)
    if b < 0.0:
        reach = min(reach, _EXPONENT / -b)
    panels = max(5, math.ceil(reach / 1.5))
    width = reach / panels
    total = 0.0
    for p in range(panels):
        for k in range(len(_NODES)):
            u = width * (p + 0.5 + 0.5 * _NODES[k])
            total += _WEIGHTS[k] * math.exp(b * u - c * math.expm1(u))
    return 0.5 * width * q * total
