"""Heavy-tail laws of the cascades of a log: what is examined, against which nulls, and how it is told."""
