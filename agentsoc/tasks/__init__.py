"""Task families: questions with verifiers."""
