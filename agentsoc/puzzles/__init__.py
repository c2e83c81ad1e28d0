"""What task families and environments are made of, and how it is worked out: pure functions of texts and generators."""
