"""This package builds the graph of claims in a log: cascades, reach, subtasks, integration, attachment, faults."""
