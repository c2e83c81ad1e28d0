"""This package is the command line of agentsoc, with one thin file for each verb."""
