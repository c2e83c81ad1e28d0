"""This package measures what coordination cost and gave, per episode and run: overhead, diversity, votes, errors."""
