"""The same two workloads in other frameworks, each script run by the Python of an environment of its own."""
