"""This package holds what the commands of all packages print with: text, options, progress, questions."""
