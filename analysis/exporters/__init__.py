"""Runs for other programs: traces as OTLP-JSON, logs of Inspect, plain tables, and logs without texts."""
