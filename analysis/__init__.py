"""Analysis of coordination logs and the theory behind it: reads logs, never the engine."""
