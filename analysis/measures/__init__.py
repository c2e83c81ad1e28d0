"""What coordination cost and gave: overhead, diversity, information, votes and errors, for each episode and run."""
