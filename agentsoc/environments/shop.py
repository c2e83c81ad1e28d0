"""`shop`: what does an order come to? Each line of it takes several look-ups, one after the other, and arithmetic.

An order names so many of what goes with what goes with a lamp: a chain of look-ups leads to the thing, one more to its
price; prices times pieces are added up. Agents at one desk look things up side by side, one a stage, and see what all
of them have found, so that lines can be worked on in parallel while the steps of a line cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from agentsoc.contracts.environments import NOISE, Action, Draw, Environment, State, Step
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.streams import stream

ITEMS: Final = (
    *("basket", "blanket", "bottle", "bowl", "brush", "bucket", "candle", "carpet", "chair", "clock", "cup", "curtain"),
    *("drum", "jug", "kettle", "knife", "ladder", "lamp", "mirror", "needle", "pan", "pillow", "plate", "rope"),
    *("saddle", "spoon", "stool", "table", "tray", "vase"),
)
PARTNER: Final = "goes with"
PRICE: Final = "price"
TABLES: Final = (PARTNER, PRICE)
_WAIT: Final[dict[str, Any]] = {"wait": True}
_ORDER_MAX: Final = 1_000_000_000


class Shop(Environment):
    """An order whose lines take a chain of look-ups each, and a sum."""

    kind: Literal["shop"] = "shop"
    items: int = Field(default=12, ge=2, le=len(ITEMS))
    """Things in the shop; each goes with one other, and has a price."""
    hops: int = Field(default=2, ge=0, le=20)
    """Look-ups in a row from what a line names to what it means; its price is one more."""
    lines: int = Field(default=2, ge=1, le=20)
    """Lines of an order, which can be looked up side by side."""
    stages: int = Field(default=40, ge=2, le=1_000)
    """Stages after which an order that nobody has answered is lost."""

    def horizon(self) -> int:
        """Return the stages that there are."""
        return self.stages

    def rules(self) -> str:
        """Return what can be done."""
        return (
            "In each step you look up one thing in one table, or say what the order comes to, or wait. All at the desk "
            "see what has been found. The first sum that is said counts; of several at once, that of the lowest number."
        )

    def task(self, seed: int, index: int) -> Task:
        """Return order `index`."""
        rng = stream(seed, "task", self.kind, index)
        items = [ITEMS[i] for i in sorted(rng.permutation(len(ITEMS))[: self.items])]
        turned = [int(i) for i in rng.permutation(self.items)]  # one circle through all: nothing goes with itself
        partner = {items[a]: items[b] for a, b in zip(turned, [*turned[1:], turned[0]], strict=True)}
        price = {item: int(rng.integers(2, 100)) for item in items}
        order: list[list[Any]] = [
            [int(rng.integers(1, 10)), items[int(rng.integers(self.items))]] for _ in range(self.lines)
        ]
        tables = {PARTNER: partner, PRICE: price}
        total = sum(pieces * price[self._meant(partner, item)] for pieces, item in order)
        text = f"{asked(order, self.hops)} {self.rules()}"
        return Task(index, f"{self.kind}-{index}", text, str(total), data={"tables": tables, "order": order})

    def _meant(self, partner: Mapping[str, str], item: str) -> str:
        for _ in range(self.hops):
            item = partner[item]
        return item

    def opening(self, task: Task, n: int, seed: int) -> State:
        """Return the order; nothing is looked up yet."""
        return {**task.data, "n": n, "stage": 0, "notes": {PARTNER: {}, PRICE: {}}, "said": None, "ended": None}

    def observe(self, state: State, agent: int) -> Sight:
        """Return the order and what has been found."""
        if state["ended"] is not None:
            return Sight("It is over.", may_act=False)
        lines = [asked(state["order"], self.hops)]
        for table in TABLES:
            found = [f"{item}: {said}" for item, said in sorted(state["notes"][table].items())]
            lines.append(f"Found in {table}: {', '.join(found) or 'nothing yet'}.")
        lines.append(f"Step {state['stage'] + 1} of {self.stages}; {state['n']} at the desk, you are number {agent}.")
        look = {
            "type": "object",
            "properties": {"look": {"enum": list(TABLES)}, "item": {"type": "string", "maxLength": 40}},
            "required": ["look", "item"],
            "additionalProperties": False,
        }
        total = {"type": "integer", "minimum": 0, "maximum": _ORDER_MAX}
        answer, wait = _only("answer", total), _only("wait", {"const": True})
        return Sight("\n".join(lines), schema={"oneOf": [look, answer, wait]})

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Look up what is asked for; take the first sum that is said."""
        notes = {table: dict(state["notes"][table]) for table in TABLES}
        told: dict[int, str] = {}
        said: int | None = None
        for agent, action in sorted(actions.items()):
            if "look" in action:
                found = state["tables"].get(action["look"], {}).get(action.get("item"))
                if found is None:
                    told[agent] = f"There is no {str(action.get('item'))[:40]} in {str(action['look'])[:40]}."
                else:
                    notes[action["look"]][action["item"]] = found
                    told[agent] = f"{action['look']}, {action['item']}: {found}."
            elif "answer" in action and said is None:
                said = int(action["answer"])
        stage = state["stage"] + 1
        ended = "answered" if said is not None else "nobody answered" if stage == self.stages else None
        after = {**state, "stage": stage, "notes": notes, "said": said, "ended": ended}
        right = float(said is not None and said == self._total(state))
        return Step(after, told, dict.fromkeys(range(state["n"]), right) if said is not None else {})

    def _total(self, state: State) -> int:
        partner, price = state["tables"][PARTNER], state["tables"][PRICE]
        return sum(pieces * price[self._meant(partner, item)] for pieces, item in state["order"])

    def default(self, state: State, agent: int) -> Action:
        """Return waiting."""
        return dict(_WAIT)

    def over(self, state: State) -> str | None:
        """Return that a sum was said, or that time is up."""
        return state["ended"]  # type: ignore[no-any-return]

    def score(self, task: Task, state: State) -> float:
        """Return 1 for the right sum."""
        return float(state["said"] is not None and str(state["said"]) == task.truth)

    def outcome(self, task: Task, state: State) -> str:
        """Return the sum that was said."""
        return "no answer" if state["said"] is None else str(state["said"])

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return the next look-up of the agent's lines, which are dealt round; the first agent says the sum."""
        notes, total, missing = state["notes"], 0, False
        for number, (pieces, item) in enumerate(state["order"]):
            look = self._next(notes, item)
            if look is None:
                total += pieces * notes[PRICE][self._meant(notes[PARTNER], item)]
            elif number % state["n"] == agent:
                return look
            else:
                missing = True
        return {"answer": total} if agent == 0 and not missing else dict(_WAIT)

    def _next(self, notes: Mapping[str, Mapping[str, Any]], item: str) -> dict[str, Any] | None:
        """Return the look-up that a line needs next; None when its price is known."""
        for _ in range(self.hops):
            if item not in notes[PARTNER]:
                return {"look": PARTNER, "item": item}
            item = notes[PARTNER][item]
        return None if item in notes[PRICE] else {"look": PRICE, "item": item}

    def scripted(self, script: Script, state: State, agent: int, draw: Draw) -> Action:
        """Return the action of a policy; `noisy` errs in what it looks up, and by a little in the sum."""
        action: Action = super().scripted(script, state, agent, draw)
        if script.name == "noisy" and draw.uniform(agent, NOISE + 1) < script.error:
            if "answer" in action:
                action = {"answer": action["answer"] + 1 + draw.index(9, agent, NOISE + 2)}
            elif "look" in action:
                items = sorted(state["tables"][PARTNER])
                action = {"look": action["look"], "item": items[draw.index(len(items), agent, NOISE + 2)]}
        return action


def asked(order: list[list[Any]], hops: int) -> str:
    """Return an order in words."""
    meant = "what goes with " * hops
    lines = [f"{pieces} of {meant}the {item}" for pieces, item in order]
    return f"A customer orders {', and '.join(lines)}. What does that come to?"


def _only(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
