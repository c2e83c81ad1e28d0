"""autogen-core: routed agents on the single-threaded runtime, one message each way."""

import asyncio
import importlib.metadata
import random
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from common import MESSAGE, ROUNDS_W1, ROUNDS_W2, Clock, answer, four_regular, main

RNG = random.Random(7)
NEIGHBOURS: list[list[int]] = []
RECEIVED = [0]


@dataclass
class Announcement:
    told: float


@dataclass
class Reply:
    number: int


@dataclass
class Speak:
    pass


@dataclass
class Gossip:
    text: str


class Participant(RoutedAgent):
    def __init__(self):
        super().__init__("participant")

    @message_handler
    async def told(self, message: Announcement, ctx: MessageContext) -> Reply:
        return Reply(answer(RNG, message.told))

    @message_handler
    async def speak(self, message: Speak, ctx: MessageContext) -> None:
        for other in NEIGHBOURS[int(self.id.key)]:
            await self.send_message(Gossip(MESSAGE), AgentId("participant", str(other)))

    @message_handler
    async def heard(self, message: Gossip, ctx: MessageContext) -> None:
        RECEIVED[0] += 1


async def runtime_with_participants():
    runtime = SingleThreadedAgentRuntime()
    await Participant.register(runtime, "participant", Participant)
    runtime.start()
    return runtime


async def play(n):
    runtime = await runtime_with_participants()
    ids = [AgentId("participant", str(i)) for i in range(n)]
    clock, told, got = Clock(), 100.0, 0
    for _ in range(ROUNDS_W1):
        replies = await asyncio.gather(*(runtime.send_message(Announcement(told), one) for one in ids))
        got += len(replies)
        told = 2 / 3 * sum(reply.number for reply in replies) / n
    times = clock.read()
    await runtime.stop()
    return *times, got


async def talk(n):
    NEIGHBOURS[:] = four_regular(n)
    runtime = await runtime_with_participants()
    ids = [AgentId("participant", str(i)) for i in range(n)]
    clock = Clock()
    for _ in range(ROUNDS_W2):
        await asyncio.gather(*(runtime.send_message(Speak(), one) for one in ids))
    times = clock.read()
    await runtime.stop()
    return *times, RECEIVED[0]


main(
    "autogen-core",
    importlib.metadata.version("autogen-core"),
    lambda n: asyncio.run(play(n)),
    lambda n: asyncio.run(talk(n)),
)
