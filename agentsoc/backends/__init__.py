"""This package holds the models that a scenario can name and the backends that answer prompts for them."""
