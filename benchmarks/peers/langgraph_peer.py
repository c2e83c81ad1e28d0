"""LangGraph: one `Send` per agent and round, replies merged by reducers."""

import importlib.metadata
import operator
import random
from typing import Annotated, TypedDict

from common import MESSAGE, ROUNDS_W1, ROUNDS_W2, Clock, answer, four_regular, main
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

RNG = random.Random(7)


class Guessing(TypedDict):
    n: int
    round: int
    told: float
    replies: Annotated[list[int], operator.add]
    used: int


def w1(n):
    def participant(told):
        return {"replies": [answer(RNG, told["told"])]}

    def moderate(state):
        new = state["replies"][state["used"] :]
        told = 2 / 3 * sum(new) / len(new) if new else 100.0
        return {"told": told, "round": state["round"] + 1, "used": len(state["replies"])}

    def fan_out(state):
        if state["round"] > ROUNDS_W1:
            return END
        return [Send("participant", {"told": state["told"]}) for _ in range(n)]

    graph = StateGraph(Guessing)
    graph.add_node("moderator", moderate)
    graph.add_node("participant", participant)
    graph.add_edge(START, "moderator")
    graph.add_conditional_edges("moderator", fan_out, ["participant", END])
    graph.add_edge("participant", "moderator")
    app = graph.compile()
    clock = Clock()
    last = app.invoke({"n": n, "round": 0, "told": 100.0, "replies": [], "used": 0}, {"recursion_limit": 100})
    return *clock.read(), len(last["replies"])


class Talk(TypedDict):
    round: int
    mail: Annotated[list[tuple[int, str]], operator.add]
    used: int
    received: Annotated[int, operator.add]


def w2(n):
    neighbours = four_regular(n)

    def speak(mine):
        return {"mail": [(to, MESSAGE) for to in neighbours[mine["id"]]], "received": len(mine["inbox"])}

    def step(state):
        return {"round": state["round"] + 1, "used": len(state["mail"])}

    def fan_out(state):
        new = state["mail"][-4 * n :]  # what was said in the last round
        boxes = [[] for _ in range(n)]
        for to, text in new:
            boxes[to].append(text)
        if state["round"] > ROUNDS_W2:
            return [Send("listen", {"inbox": box}) for box in boxes]
        return [Send("speaker", {"id": i, "inbox": box}) for i, box in enumerate(boxes)]

    graph = StateGraph(Talk)
    graph.add_node("step", step)
    graph.add_node("speaker", speak)
    graph.add_node("listen", lambda mine: {"received": len(mine["inbox"])})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", fan_out, ["speaker", "listen"])
    graph.add_edge("speaker", "step")
    graph.add_edge("listen", END)
    app = graph.compile()
    clock = Clock()
    last = app.invoke({"round": 0, "mail": [], "used": 0, "received": 0}, {"recursion_limit": 100})
    return *clock.read(), last["received"]


main("LangGraph", importlib.metadata.version("langgraph"), w1, w2)
