"""AgentScope 0.1.6 (the last line with a distributed mode), local agents: calls and `observe`."""

import random

import agentscope
from agentscope.agents import AgentBase
from agentscope.message import Msg
from common import MESSAGE, ROUNDS_W1, ROUNDS_W2, Clock, answer, four_regular, main

RNG = random.Random(7)


class Participant(AgentBase):
    def __init__(self, name):
        super().__init__(name=name)
        self.received = 0

    def reply(self, x=None):
        return Msg(self.name, str(answer(RNG, float(x.content))), "assistant")

    def observe(self, x):
        self.received += 1

    def speak_to(self, others):
        message = Msg(self.name, MESSAGE, "assistant")
        for other in others:
            other.observe(message)


class Moderator(AgentBase):
    def aggregate(self, replies):
        return 2 / 3 * sum(int(reply.content) for reply in replies) / len(replies)


def participants(n):
    agentscope.init(
        save_dir="/dev/null", save_code=False, save_api_invoke=False, use_monitor=False, disable_saving=True
    )
    return [Participant(f"p{i}") for i in range(n)]


def w1(n):
    agents, moderator = participants(n), Moderator(name="moderator")
    clock, told, got = Clock(), 100.0, 0
    for _ in range(ROUNDS_W1):
        announcement = Msg("moderator", str(told), "assistant")
        replies = [agent(announcement) for agent in agents]
        got += len(replies)
        told = moderator.aggregate(replies)
    return *clock.read(), got


def w2(n):
    agents = participants(n)
    neighbours = [[agents[i] for i in others] for others in four_regular(n)]
    clock = Clock()
    for _ in range(ROUNDS_W2):
        for agent, others in zip(agents, neighbours, strict=True):
            agent.speak_to(others)
    return *clock.read(), sum(agent.received for agent in agents)


main("AgentScope (local)", agentscope.__version__, w1, w2)
