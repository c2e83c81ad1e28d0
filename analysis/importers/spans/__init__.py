"""Traces of spans: how exporters write them, what a span means, and the events that a trace becomes."""
