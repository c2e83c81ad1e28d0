# mypy: ignore-errors
# ruff: noqa: RUF012
"""A small game in turns: each says a number at least as large as the last one said, up to 4; who cannot, loses."""

import random

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import AECEnv
from pettingzoo.utils import AgentSelector


class Rising(AECEnv):
    metadata = {"name": "rising"}

    def __init__(self):
        super().__init__()
        self.possible_agents = ["a", "b", "c"]

    def observation_space(self, agent):
        return Dict({"observation": Box(0, 4, (1,), int), "action_mask": Box(0, 1, (4,), np.int8)})

    def action_space(self, agent):
        return Discrete(4)

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.at = random.randrange(2)  # the global generator: a process of its own is what makes it the seed's
        self.said = 0
        self._selector = AgentSelector(self.agents)
        self.agent_selection = self._selector.next()

    def observe(self, agent):
        return {"observation": np.array([self.at]), "action_mask": np.array([n >= self.at for n in range(4)], np.int8)}

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._clear_rewards()
        self.at, self.said = int(action), self.said + 1
        if self.said >= 5:
            self.terminations = dict.fromkeys(self.agents, True)
            self.rewards[agent] = 1.0
        self.agent_selection = self._selector.next()
        self._accumulate_rewards()


def env():
    return Rising()
