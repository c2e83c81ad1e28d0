"""Protocols: the rules of a round, one file each."""
