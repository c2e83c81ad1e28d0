"""What plug-ins implement and a scenario may name: the base classes, and what passes between them."""
