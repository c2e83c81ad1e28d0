"""This package keeps the account of an episode: its ledger, how a budget is split, and what agents are told of it."""
