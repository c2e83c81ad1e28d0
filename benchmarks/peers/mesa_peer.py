"""Mesa: agents without messages over a wire, without async and without a log. The reference for plain Python."""

import random

import mesa
from common import MESSAGE, ROUNDS_W1, ROUNDS_W2, Clock, answer, four_regular, main


class Participant(mesa.Agent):
    def __init__(self, model):
        super().__init__(model)
        self.reply = 0
        self.inbox, self.outbox = [], []
        self.received = 0
        self.neighbours = []

    def respond(self, told):
        self.reply = answer(self.model.rng_, told)

    def send(self):
        for other in self.neighbours:
            other.outbox.append(MESSAGE)

    def receive(self):
        self.inbox, self.outbox = self.outbox, []
        self.received += len(self.inbox)


class Society(mesa.Model):
    def __init__(self, n):
        super().__init__(seed=7)
        self.rng_ = random.Random(7)
        self.participants = Participant.create_agents(self, n)


def w1(n):
    society = Society(n)
    clock, told, got = Clock(), 100.0, 0
    for _ in range(ROUNDS_W1):
        society.participants.do("respond", told)
        replies = society.participants.get("reply")
        got += len(replies)
        told = 2 / 3 * sum(replies) / len(replies)
    return *clock.read(), got


def w2(n):
    society = Society(n)
    agents = list(society.participants)
    for agent, others in zip(agents, four_regular(n), strict=True):
        agent.neighbours = [agents[i] for i in others]
    clock = Clock()
    for _ in range(ROUNDS_W2):
        society.participants.do("send")
        society.participants.do("receive")
    return *clock.read(), sum(society.participants.get("received"))


main("Mesa", mesa.__version__, w1, w2)
