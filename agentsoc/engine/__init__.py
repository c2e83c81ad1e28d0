"""The engine: hosts, the loop, and running, resuming, replaying and forking."""
