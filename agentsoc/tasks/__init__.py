"""This package holds the task families: each makes questions from a seed and verifies answers to them."""
