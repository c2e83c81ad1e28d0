"""This package has the built-in competitors of the power law, one object and one file each."""
