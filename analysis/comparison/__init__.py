"""This package reports on a comparison of organisations: its table, report, text and figures."""
