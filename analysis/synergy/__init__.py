"""This package works out budgeted synergy and its phase boundary: theory, exact designer and simulator.

`theory` holds every formula, `design` searches the best organisation for a budget and a context window, `simulate` and
`simulate_risk` check formulas by drawing votes and estimates. Needs the `analysis` extra (scipy; numba only for the
fast kernel of `simulate`).

Tags such as [P2], [D] and [X] in the docstrings say where a formula comes from; docs/phase-theory.md explains them.
"""
