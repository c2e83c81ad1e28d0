"""The observables of coordination: samples out of logs, their audits and their tails."""
