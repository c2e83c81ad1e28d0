"""This package is the engine: it runs, resumes, replays and forks the society of a scenario on its hosts."""
