"""The phase diagram: its panels as data, and as figures."""
