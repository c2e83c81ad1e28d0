"""This package holds the protocols, the rules of a round, one file each."""
