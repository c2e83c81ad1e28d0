"""The verbs that the analysis adds to `agentsoc`, a module each. Everything heavy is imported when it is used."""
