"""This package defines what plug-ins implement and a scenario may name: base classes and what passes between them."""
