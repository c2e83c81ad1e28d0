"""Experiments: many runs under one budget, planned, carried out concurrently, resumed where they stopped."""
