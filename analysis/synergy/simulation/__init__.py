"""This package draws votes and estimates instead of computing them, to check the theory by."""
