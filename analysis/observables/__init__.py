"""This package takes the observables of coordination out of logs: samples, their audits and their tails."""
