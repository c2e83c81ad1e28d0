"""A comparison of organisations: its table, report, text and figures."""
