"""Sentiment asks whether a one-line review is positive or negative.

The one family that the embedded model can really do, and only by half: temperature is a dial on the signal of one
agent, with nearly independent errors. Measured with SmolLM2-135M (Q4_1) as one of eight agents, on 100 reviews, with
answers limited to the two words: right in .92, .76, .70, .61 at temperature 0, .3, .5, .8; with two clauses in .78 and
with a negation in .59 at temperature 0, nearly all errors there being one and the same wrong word.

The question comes before the review on purpose, and nothing should follow it: with the question last the same model is
right in .69 at temperature 0, and with another "Answer positive or negative." behind it says "positive" to everything.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from pydantic import Field

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.streams import stream

OPTIONS: Final = ("positive", "negative")

SUBJECTS: Final = (
    *("hotel", "restaurant", "film", "book", "concert", "phone", "laptop", "taxi ride", "museum", "bakery"),
    *("lecture", "camera", "game", "coffee", "soup", "haircut", "train", "campsite", "printer", "jacket"),
    *("mattress", "podcast", "flight", "garden", "plumber", "dentist", "keyboard", "play", "festival", "pizza"),
)
# As many words on either side: a review is positive with probability 1/2 whatever is drawn besides.
GOOD: Final = (
    *("wonderful", "excellent", "superb", "delightful", "fantastic", "great", "lovely", "brilliant", "outstanding"),
    *(
        "terrific",
        "marvellous",
        "splendid",
        "impressive",
        "charming",
        "first-rate",
        "flawless",
        "enjoyable",
        "pleasant",
    ),
)
BAD: Final = (
    *("dreadful", "terrible", "awful", "horrible", "appalling", "poor", "disappointing", "miserable", "lousy"),
    *("dismal", "unpleasant", "shoddy", "abysmal", "atrocious", "third-rate", "faulty", "boring", "disgusting"),
)
PLAIN: Final = (
    "the {subject} was {word}",
    "I found the {subject} {word}",
    "the {subject} turned out to be {word}",
    "honestly, the {subject} was {word}",
    "we all thought the {subject} was {word}",
    "in my view the {subject} was simply {word}",
)
NEGATED: Final = (
    "the {subject} was anything but {word}",
    "I expected the {subject} to be {word}, but it was not",
    "nobody could call the {subject} {word}",
    "the {subject} was far from {word}",
    "the {subject} was not {word} at all",
)
DETAILS: Final = ("first impression", "beginning", "advertisement", "website", "price", "booking")


class Sentiment(TaskFamily):
    """Generated one-line reviews, positive or negative with equal probability."""

    kind: Literal["sentiment"] = "sentiment"
    clauses: Literal[1, 2] = 1
    """1 for a plain verdict; 2 for a detail that is judged the other way first (hard for weak models)."""
    negated: float = Field(default=0.0, ge=0, le=1)
    """Share of reviews whose verdict is a negation, such as "anything but dreadful" (hard for weak models)."""

    def make(self, seed: int, index: int) -> Task:
        """Return review `index`; the seed decides its side, its words and its form."""
        rng = stream(seed, "task", self.kind, index)
        positive = bool(rng.integers(2))
        turned = bool(rng.random() < self.negated)
        words = GOOD if positive != turned else BAD
        subject, word = _pick(rng, SUBJECTS), _pick(rng, words)
        review = _pick(rng, NEGATED if turned else PLAIN).format(subject=subject, word=word)
        if self.clauses == 2:
            other = _pick(rng, BAD if positive else GOOD)
            review = f"the {_pick(rng, DETAILS)} was {other}, but all in all {review}"
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=f"Is this review positive or negative? Answer with one word.\n\n{review[0].upper()}{review[1:]}.",
            truth=OPTIONS[0] if positive else OPTIONS[1],
            options=OPTIONS,
            chance=0.5,
        )


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
