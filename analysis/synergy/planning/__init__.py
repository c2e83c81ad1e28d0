"""This package plans: the best organisation for a budget, what to measure first, and the comparison that tests it."""
