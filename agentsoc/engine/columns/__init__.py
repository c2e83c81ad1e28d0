"""This package computes simulated societies whose rounds are fixed beforehand as columns, with no object for a turn."""
