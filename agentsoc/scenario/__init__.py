"""This package turns a scenario file into checked frozen models and finds parts by entry points; start at `load`."""
