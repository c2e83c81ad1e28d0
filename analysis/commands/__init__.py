"""This package has the verbs that the analysis adds to `agentsoc`, a module each; heavy imports come on use."""
