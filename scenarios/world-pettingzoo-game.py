"""A game of PettingZoo's parallel interface, for the scenario world-pettingzoo.yaml: two pick the same side or not.

Both see what they picked last. Picking alike pays 1 each, else nothing; a side is drawn that pays twice as much.
"""

from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv


class SameSide(ParallelEnv):
    """Left or right, together, for a few steps."""

    metadata = {"name": "same_side"}

    def __init__(self, steps=5):
        self.possible_agents = ["ann", "bob"]
        self.steps = steps

    def observation_space(self, agent):
        return Discrete(9)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        import random

        self.agents = list(self.possible_agents)
        self.left, self.rich = self.steps, random.Random(seed).randrange(2)
        return {agent: {"last": None, "rich": self.rich} for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions):
        alike = actions["ann"] == actions["bob"]
        pay = (2.0 if actions["ann"] == self.rich else 1.0) if alike else 0.0
        self.left -= 1
        seen = {agent: {"last": [int(actions[other]) for other in self.possible_agents], "rich": self.rich} for agent in self.agents}
        over = dict.fromkeys(self.agents, self.left <= 0)
        result = seen, dict.fromkeys(self.agents, pay), over, dict.fromkeys(self.agents, False), {}
        if self.left <= 0:
            self.agents = []
        return result


def parallel_env(steps=5):
    return SameSide(steps)
