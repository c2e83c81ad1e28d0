"""This module has the kernels of conditional logit with one slope and many categories; see `attachment_rivals`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@compiled
def _predict(begin: int, end: int, slope: F64, offset: F64, groups: I64, theta: F64, w: F64) -> float:
    """Fill `w` with the predictors of the alternatives from `begin` to `end`, and return the largest."""
    top = -math.inf
    for j in range(begin, end):
        value = theta[0] * slope[j] + offset[j]
        for g in range(groups.shape[1]):
            if groups[j, g] >= 0:
                value += theta[groups[j, g]]
        w[j - begin] = value
        top = max(top, value)
    return top


@compiled
def _take_off(mean: F64, gradient: F64, information: F64) -> None:
    """Subtract the means of a decision from the gradient, and their products from the lower triangle."""
    for a in range(len(mean)):
        if mean[a] == 0.0:
            continue
        gradient[a] -= mean[a]
        for b in range(a + 1):
            information[a, b] -= mean[a] * mean[b]


@compiled
def derivatives(ptr: I64, chosen: I64, slope: F64, offset: F64, groups: I64, theta: F64) -> tuple[float, F64, F64]:
    """Return log-likelihood, gradient and negative Hessian of single choices.

    The predictor of alternative j is theta[0] slope[j] + offset[j] + sum of theta over groups[j].

    Args:
        ptr: start of each decision's alternatives, shape (n_decisions + 1,).
        chosen: the alternative that each took, shape (n_decisions,).
        slope: what theta[0] multiplies, shape (n_alternatives,).
        offset: a known part, same shape.
        groups: parameters that each alternative has beside the slope, shape (n_alternatives, k); -1 for none.
        theta: parameters, shape (n,).
    """
    n, k = len(theta), groups.shape[1]
    total, gradient, information = 0.0, np.zeros(n), np.zeros((n, n))
    mean = np.empty(n)
    widest = 0
    for d in range(len(ptr) - 1):
        widest = max(widest, ptr[d + 1] - ptr[d])
    w = np.empty(widest)
    for d in range(len(ptr) - 1):
        begin, end = ptr[d], ptr[d + 1]
        top = _predict(begin, end, slope, offset, groups, theta, w)
        whole = 0.0
        at = chosen[d]
        total += w[at - begin] - top
        for j in range(end - begin):
            w[j] = math.exp(w[j] - top)
            whole += w[j]
        total -= math.log(whole)
        mean[:] = 0.0
        for j in range(begin, end):
            p = w[j - begin] / whole
            if p < 1e-12:
                continue
            f = slope[j]
            mean[0] += p * f
            information[0, 0] += p * f * f
            for g in range(k):
                a = groups[j, g]
                if a < 0:
                    continue
                mean[a] += p
                information[a, 0] += p * f
                for h in range(g + 1):
                    b = groups[j, h]
                    if b >= 0:  # columns are numbered one after the other, so this is the lower triangle
                        information[a, b] += p
        gradient[0] += slope[at]
        for g in range(k):
            if groups[at, g] >= 0:
                gradient[groups[at, g]] += 1.0
        _take_off(mean, gradient, information)
    for a in range(n):
        for b in range(a):
            information[b, a] = information[a, b]
    return total, gradient, information


@compiled
def exposures(ptr: I64, item: I64, weight: F64, liked: F64, n_items: int) -> F64:
    """Return how often each alternative was due to be chosen before, were it of fitness 1, shape (n_alternatives,).

    Each earlier decision adds weight_j / sum of weight liked to what it offered.
    """
    seen, found = np.zeros(n_items), np.empty(len(item))
    for d in range(len(ptr) - 1):
        begin, end = ptr[d], ptr[d + 1]
        whole = 0.0
        for j in range(begin, end):
            found[j] = seen[item[j]]
            whole += weight[j] * liked[j]
        for j in range(begin, end):
            seen[item[j]] += weight[j] / whole
    return found


@compiled
def one_by_one(ptr: I64, chosen_ptr: I64, chosen: I64) -> tuple[I64, I64, I64]:
    """Return single choices without replacement: (start of each, its alternatives as old indices, what each took)."""
    n_choices, n_alternatives = len(chosen), 0
    for d in range(len(ptr) - 1):
        for m in range(chosen_ptr[d + 1] - chosen_ptr[d]):
            n_alternatives += ptr[d + 1] - ptr[d] - m
    starts, old, took = (
        np.zeros(n_choices + 1, np.int64),
        np.empty(n_alternatives, np.int64),
        np.empty(n_choices, np.int64),
    )
    place, at = 0, 0
    for d in range(len(ptr) - 1):
        gone = np.zeros(ptr[d + 1] - ptr[d], np.bool_)
        for m in range(chosen_ptr[d], chosen_ptr[d + 1]):
            for j in range(ptr[d], ptr[d + 1]):
                if gone[j - ptr[d]]:
                    continue
                if j == chosen[m]:
                    took[place] = at
                old[at] = j
                at += 1
            gone[chosen[m] - ptr[d]] = True
            place += 1
            starts[place] = at
    return starts, old, took
