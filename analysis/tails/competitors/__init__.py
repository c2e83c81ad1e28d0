"""The built-in competitors of the power law, one object and one file each."""
