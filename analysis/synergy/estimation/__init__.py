"""This package estimates the parameters of the theory from tables and logs, with their uncertainty.

Tags such as [D] and [X] in its docstrings say where a formula comes from; docs/phase-theory.md explains them.
"""
