"""This package runs experiments: many runs under one budget, planned, run side by side, resumed where they stopped."""
