"""The graph of claims that a log holds: cascades, reach, subtasks, integration, attachment, planted errors."""
