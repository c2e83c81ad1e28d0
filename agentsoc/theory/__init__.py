"""This package has the formulas that simulated agents follow and the analysis fits, once, so that both mean the same.

Each function takes floats or NumPy arrays that broadcast. Floats are computed with `math` and arrays with NumPy, which
may round the last digit differently: a simulated society must not depend on how many of its votes are drawn at a time.
Nothing is checked here; whoever takes numbers from a person checks them.
"""
