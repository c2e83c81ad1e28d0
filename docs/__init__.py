"""The documentation: Markdown pages, and `docs.generate`, which writes those of them that follow from the code."""
