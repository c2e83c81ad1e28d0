"""The parameters of the theory from tables and logs, with their uncertainty."""
