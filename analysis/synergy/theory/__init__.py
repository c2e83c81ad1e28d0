"""This package has the theory of budgeted synergy in closed forms; `formulas` gives all of it in one import."""
