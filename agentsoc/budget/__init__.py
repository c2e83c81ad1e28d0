"""The ledger that holds a budget."""
