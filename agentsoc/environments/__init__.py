"""Environments that come with agentsoc, one file each, found by entry point; `playing` plays one without an engine."""
