"""`library`: a question whose facts stand on several shelves, each of which only one agent can read.

With `organisation: experts` a lead who has no shelf asks the agents who have one, and answers. With `votes` everybody
answers at once from the own shelf, and the name that most give counts. What votes can reach is known
(`agentsoc.theory.split`); experts can always find out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from agentsoc.contracts.environments import NOISE, Action, Draw, Environment, State, Step
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.errors import InputError
from agentsoc.puzzles.shelves import (
    NAMES_MAX,
    NOT_HERE,
    SHELVES_MAX,
    dealt,
    followed,
    question,
    shelf_text,
    stock,
    subjects,
)
from agentsoc.streams import stream


class Library(Environment):
    """Facts split over the private shelves of agents; a question needs several of them."""

    kind: Literal["library"] = "library"
    shelves: int = Field(default=4, ge=2, le=SHELVES_MAX)
    """Catalogues, each on a shelf of its own; dealt round to the agents who hold any."""
    hops: int = Field(default=2, ge=1, le=SHELVES_MAX)
    """Catalogues that a question goes through."""
    names: int = Field(default=8, ge=2, le=NAMES_MAX)
    """Names in a catalogue, and possible answers."""
    organisation: Literal["experts", "votes"] = "experts"
    """Agent 0 asks those who hold shelves and answers; or all answer from their own shelves, and the most count."""
    asks: int = Field(default=8, ge=1, le=100)
    """Questions that the lead may ask in an episode."""

    @model_validator(mode="after")
    def _possible(self) -> Library:
        if self.hops > self.shelves:
            raise ValueError(f"a question goes through at most {self.shelves} shelves, got {self.hops} hops")
        return self

    def check_agents(self, n: int) -> None:
        """Refuse a lead with nobody to ask."""
        if self.organisation == "experts" and n < 2:
            raise InputError("a lead needs at least one expert to ask", "agents.count")

    def horizon(self) -> int:
        """Return a stage for each question, each reply, and the answer."""
        return 2 * self.asks + 1 if self.organisation == "experts" else 1

    def rules(self) -> str:
        """Return how the organisation works."""
        if self.organisation == "votes":
            return "Everybody answers at once, from the own shelf; the name that most give counts."
        return "Agent 0 leads and has no shelf: it asks the others one by one what stands on theirs, then it answers."

    def task(self, seed: int, index: int) -> Task:
        """Return episode `index`."""
        drawn = stock(stream(seed, "task", self.kind, index), self.shelves, self.names, self.hops)
        text = f"{question(drawn['path'], drawn['start'])} {self.rules()}"
        return Task(index, f"{self.kind}-{index}", text, drawn["answer"], data=drawn)

    def opening(self, task: Task, n: int, seed: int) -> State:
        """Return who holds what; nothing is asked yet."""
        self.check_agents(n)
        holders = n - 1 if self.organisation == "experts" else n
        names = subjects(self.shelves)
        held = [[names[shelf] for shelf in hand] for hand in dealt(self.shelves, holders)]
        if self.organisation == "experts":
            held.insert(0, [])
        return {**task.data, "held": held, "log": [], "pending": None, "given": None, "ended": None}

    def _shelf(self, state: State, agent: int) -> Mapping[str, Mapping[str, str]]:
        return {subject: state["catalogues"][subject] for subject in state["held"][agent]}

    def observe(self, state: State, agent: int) -> Sight:
        """Return the own shelf to those who have one, and what was asked and found to the lead."""
        if state["ended"] is not None:
            return Sight("It is over.", may_act=False)
        options = tuple(state["options"])
        shelf = shelf_text(state["catalogues"], state["held"][agent])
        if self.organisation == "votes":
            return Sight(f"{question(state['path'], state['start'])}\nYour shelf:\n{shelf}", options)
        pending = state["pending"]
        if pending is not None:
            if agent != pending["agent"]:
                return Sight("Somebody else is asked.", may_act=False)
            found = sorted({name for subject in state["held"][agent] for name in state["catalogues"][subject].values()})
            text = f"The lead asks: look up {pending['name']} in the catalogue of {pending['subject']}."
            return Sight(f"{text}\nYour shelf:\n{shelf}", (*found, NOT_HERE))
        if agent != 0:
            return Sight("Nobody asks you anything.", may_act=False)
        return Sight(self._desk(state), schema=self._lead_may(state))

    def _desk(self, state: State) -> str:
        """Return what the lead knows."""
        lines = [question(state["path"], state["start"]), "Who has which catalogue:"]
        lines += [f"agent {agent}: {', '.join(held)}" for agent, held in enumerate(state["held"]) if held]
        if state["log"]:
            lines.append("Found so far:")
            lines += [f"{one['name']} in the catalogue of {one['subject']}: {one['said']}" for one in state["log"]]
        left = self.asks - len(state["log"])
        lines.append(f"You may ask {left} more times." if left else "You have asked enough: answer now.")
        lines.append(f"Possible answers: {', '.join(state['options'])}.")
        return "\n".join(lines)

    def _lead_may(self, state: State) -> dict[str, Any]:
        answer = {
            "type": "object",
            "properties": {"answer": {"enum": list(state["options"])}},
            "required": ["answer"],
            "additionalProperties": False,
        }
        if len(state["log"]) >= self.asks:
            return answer
        ask = {
            "type": "object",
            "properties": {
                "ask": {"type": "integer", "minimum": 1, "maximum": len(state["held"]) - 1},
                "subject": {"enum": subjects(self.shelves)},
                "name": {"type": "string", "maxLength": 40},
            },
            "required": ["ask", "subject", "name"],
            "additionalProperties": False,
        }
        return {"oneOf": [ask, answer]}

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Count votes; or pass a question on, note a reply, take an answer."""
        if self.organisation == "votes":
            return self._ended(state, _plurality([actions[agent] for agent in sorted(actions)], draw))
        if state["pending"] is not None:
            asked = state["pending"]
            said = {"subject": asked["subject"], "name": asked["name"], "said": actions[asked["agent"]]}
            return Step(
                {**state, "pending": None, "log": [*state["log"], said]}, {0: f"Agent {asked['agent']} answers."}
            )
        action = actions[0]
        if "answer" in action:
            return self._ended(state, action["answer"])
        if len(state["log"]) >= self.asks or not 1 <= action.get("ask", 0) < len(state["held"]):
            return self._ended(state, None)
        asked = {"agent": action["ask"], "subject": action["subject"], "name": action["name"]}
        return Step({**state, "pending": asked}, {asked["agent"]: "You are asked."})

    def _ended(self, state: State, answer: str | None) -> Step:
        right = float(answer is not None and answer == state["answer"])
        after = {**state, "given": answer, "ended": "answered" if answer is not None else "no answer"}
        told = dict.fromkeys(range(len(state["held"])), f"The answer given is {answer}.")
        return Step(after, told, dict.fromkeys(range(len(state["held"])), right))

    def default(self, state: State, agent: int) -> Action:
        """Return what helps nobody: the first name, a question about nothing, or that there is no such entry."""
        if self.organisation == "votes":
            return state["options"][0]
        if state["pending"] is not None:
            return NOT_HERE
        if len(state["log"]) >= self.asks:
            return {"answer": state["options"][0]}
        return {"ask": 1, "subject": state["path"][0], "name": "nothing"}

    def over(self, state: State) -> str | None:
        """Return that there is an answer, or will be none."""
        return state["ended"]  # type: ignore[no-any-return]

    def score(self, task: Task, state: State) -> float:
        """Return 1 for the right answer."""
        return float(state["given"] is not None and state["given"] == task.truth)

    def outcome(self, task: Task, state: State) -> str:
        """Return the answer."""
        return state["given"] or "no answer"

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return what one does who looks up what it can: asks whoever has it, and guesses where nobody can know."""
        if self.organisation == "votes":
            known = followed(self._shelf(state, agent), state["path"], state["start"])
            return known if known is not None else state["options"][draw.index(len(state["options"]), agent, 0)]
        if state["pending"] is not None:
            shelf = self._shelf(state, agent)
            return shelf.get(state["pending"]["subject"], {}).get(state["pending"]["name"], NOT_HERE)
        name, missing = self._reached(state)
        if missing is None:
            return {"answer": name}
        if len(state["log"]) >= self.asks:
            return {"answer": state["options"][draw.index(len(state["options"]), agent, 0)]}
        holder = next(agent for agent, held in enumerate(state["held"]) if missing in held)
        return {"ask": holder, "subject": missing, "name": name}

    def _reached(self, state: State) -> tuple[str, str | None]:
        """Return how far the replies lead: the name, and the subject to look it up in; None at the end."""
        found = {(one["subject"], one["name"]): one["said"] for one in state["log"] if one["said"] != NOT_HERE}
        name = state["start"]
        for subject in state["path"]:
            if (subject, name) not in found:
                return name, subject
            name = found[subject, name]
        return (name, None) if name in state["options"] else (state["start"], state["path"][0])

    def scripted(self, script: Script, state: State, agent: int, draw: Draw) -> Action:
        """Return the action of a policy; a noisy lead answers too early, with any name, instead of asking."""
        action: Action = super().scripted(script, state, agent, draw)
        leads = self.organisation == "experts" and state["pending"] is None
        if script.name == "noisy" and leads and draw.uniform(agent, NOISE + 1) < script.error:
            action = {"answer": state["options"][draw.index(len(state["options"]), agent, NOISE + 2)]}
        return action


def _plurality(names: Sequence[str], draw: Draw) -> str:
    """Return the name that is given most; among equals by lot."""
    counts = Counter(names)
    most = max(counts.values())
    leading = sorted(name for name, count in counts.items() if count == most)
    return leading[draw.index(len(leading))]
