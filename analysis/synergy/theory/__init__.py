"""The theory of budgeted synergy in closed forms; see `formulas` for all of it in one import."""
