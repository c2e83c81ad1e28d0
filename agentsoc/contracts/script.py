"""`Script`: a scripted policy, which plays an environment in place of a model."""

from __future__ import annotations

import msgspec


class Script(msgspec.Struct, frozen=True):
    """A scripted policy that plays in place of a model (`model: {kind: policy}`)."""

    name: str = "optimal"
    """One of the environment's `scripts`."""
    error: float = 0.0
    """Probability that a random action takes the place of the meant one, step by step."""
    quality: float = 1.0
    """Probability that a step follows the optimal plan and not the default action."""
