"""This package tests heavy-tail laws of the cascades of a log: it examines them, compares nulls, tells the result."""
