"""Societies: topologies, agents, turns and the board."""
