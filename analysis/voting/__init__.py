"""This package has laws that say when voting, resampling and judging pay, each with the sample that calibrates it."""
