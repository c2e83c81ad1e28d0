"""Votes and estimates drawn instead of computed, to check the theory by."""
