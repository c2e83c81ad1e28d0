"""What commands print with, those of `agentsoc.cli` and those of other packages: text, options, progress, questions."""
