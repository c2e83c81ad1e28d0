"""This package makes the phase diagram: its panels as data, and as figures."""
