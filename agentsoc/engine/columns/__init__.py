"""Column execution: simulated societies whose rounds are fixed beforehand, computed without an object a turn."""
