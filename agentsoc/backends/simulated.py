"""`simulated`: calibrated voters. No text and no model; the laws of the budgeted-synergy theory, drawn exactly.

Votes have a **signal** mu = (p - 1/K)/(1 - 1/K): 0 is chance, 1 is always right. A leaf's signal is given, or follows
mu(x) = min(a x^beta, mu_max) for x tokens of compute. A message is read as sent with probability gamma, otherwise as
a uniformly random answer. At a node, with probability rho (the lock) all messages equal the first child's. Sources:
the laws are those of arXiv:2601.17311 (formulas in `agentsoc.theory`); the lock as something that happens, and its
place after the channel, are derived in docs/phase-theory.md, "What is proven".

Every draw belongs to (task, round, agent) and a purpose, so one voter alone and a million at once draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import CallError, Completion, Hint, Model, PureBackend, Request, Usage, VoterReply
from agentsoc.contracts.part import Part
from agentsoc.streams import uniform, uniform_pair, uniforms
from agentsoc.theory.agents import leaf_signal
from agentsoc.theory.fidelity import capacity, exponential, hill, hyperbolic

Codes = NDArray[np.int64]
"""Answers as indices into the options; -1 for none."""

TOKENS_MAX: Final = 10**9
"""No voter spends more on one thing (tokens): what ten million of them spend is still counted in 64 bits."""

_SAMPLE_DRAWS = 1 << 20
"""Draws that one of several independent samples of an agent in a round may take; even."""


class Fidelity(Part):
    """Fidelity gamma as a function of message length m."""

    kind: Literal["exp", "hyperbolic", "hill", "capacity"] = "exp"
    """1 - exp(-m/m0), m/(m + m0), m^h/(m^h + m0^h), or sqrt(1 - exp(-m/m0))."""
    m0: float = Field(default=100.0, gt=0, le=1e9)
    """Scale (tokens)."""
    h: float = Field(default=1.0, gt=0, le=30)  # so that neither power leaves the range of a float
    """Exponent of hill."""
    ceiling: float = Field(default=1.0, gt=0, le=1)
    """Fidelity of an arbitrarily long message."""

    def at(self, m: float) -> float:
        """Return gamma(m)."""
        if not m:  # the power below may be 0 as well
            value = 0.0
        elif self.kind == "exp":
            value = exponential(m, self.m0)
        elif self.kind == "hyperbolic":
            value = hyperbolic(m, self.m0)
        elif self.kind == "hill":
            value = hill(m, self.m0, self.h)
        elif self.kind == "capacity":
            value = capacity(m, self.m0)
        else:
            assert_never(self.kind)
        return self.ceiling * value


class Level(Part):
    """One component of a mixture over task difficulty."""

    weight: float = Field(gt=0, le=1e9)
    """Share of the tasks, relative to the other components."""
    signal: float = Field(ge=-1, le=1)
    """Leaf signal mu of these tasks."""


class Simulated(Model):
    """Voters with a leaf law, noisy reading, shared errors and a difficulty mixture."""

    reply_form: ClassVar[str] = "short"

    kind: Literal["simulated"] = "simulated"
    signal: Annotated[float, Field(ge=-1, le=1)] | Literal["task"] | None = None
    """Leaf signal mu; "task" takes each task's own; None for the leaf law below."""
    a: float = Field(default=0.02, gt=0, le=1e9)
    """Leaf law: factor of mu(x) = a x^beta."""
    beta: float = Field(default=0.3, gt=0, le=10)
    """Leaf law: exponent."""
    signal_max: float = Field(default=0.95, gt=0, le=1)
    """Leaf law: mu never exceeds this."""
    compute: int = Field(default=200, ge=0, le=TOKENS_MAX)
    """Compute x of one answer (tokens)."""
    message: int = Field(default=50, ge=0, le=TOKENS_MAX)
    """Length m of one message (tokens): written once by its author, read once by each reader."""
    overhead: int = Field(default=0, ge=0, le=TOKENS_MAX)
    """What a merging agent spends besides reading (tokens)."""
    fidelity: Annotated[float, Field(gt=0, le=1)] | Fidelity = 1.0
    """Gamma, or the law that gives it for the message length."""
    lock: float = Field(default=0.0, ge=0, lt=1)
    """Rho: probability that all messages at a node equal the first one's."""
    lock_order: Literal["after_channel", "before_channel"] = "after_channel"
    """Whether the shared draw includes the channel's flip (the paper's composition) or precedes it."""
    keep_own: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that an agent that has heard others keeps its own answer; None: its own is one vote among theirs."""
    mixture: tuple[Level, ...] = ()
    """Signals that tasks draw from, instead of `signal`."""
    latency_s: float = Field(default=0.0, ge=0, le=3_600)
    """Mean simulated time of a turn, exponentially distributed (seconds, on the virtual clock)."""
    shared: float = Field(default=0.0, ge=0, le=1)
    """Probability that a question has one answer for all: every own answer to it is the same draw (shared mistakes)."""
    source: int = Field(default=0, ge=0, le=65_535)
    """Whom mistakes are shared with: voters of the same number; those of different numbers share none."""
    invalid: float = Field(default=0.0, ge=0, le=1)
    """Probability that an answer breaks its format; strict turns discard it, others count it as a failed call."""
    rejects: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that a wrong claim is recognised and disputed instead of used; None for readers who never look."""
    accepts_right: float = Field(default=1.0, ge=0, le=1)
    """As a verifier: probability of accepting a right answer (completeness)."""
    accepts_wrong: float = Field(default=0.0, ge=0, le=1)
    """As a verifier: probability of accepting a wrong answer (false positives)."""
    judge_odds: float = Field(default=1.0, ge=0, le=1e12)
    """As a judge of several answers: odds with which a right one is preferred to a wrong one; 1 chooses blindly."""
    judge_bias: float = Field(default=0.0, ge=0, le=1)
    """As a judge: probability of taking whatever is shown first."""
    later: ClassVar[frozenset[str]] = frozenset(
        {"shared", "source", "invalid", "rejects", "accepts_right", "accepts_wrong", "judge_odds", "judge_bias"}
    )

    @model_validator(mode="after")
    def _one_signal(self) -> Simulated:
        if self.mixture and self.signal is not None:
            raise ValueError("give signal or mixture, not both")
        return self

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: voters are drawn, and no prompt leaves the process."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> SimulatedBackend:
        """Return the voters of the run with `seed`."""
        return SimulatedBackend(self, seed)

    @property
    def gamma(self) -> float:
        """Return the fidelity of one message."""
        return self.fidelity.at(self.message) if isinstance(self.fidelity, Fidelity) else self.fidelity

    def leaf_signal(self) -> float:
        """Return mu of the leaf law at `compute` tokens, clipped."""
        return leaf_signal(self.compute, self.a, self.beta, self.signal_max)


class SimulatedBackend(PureBackend):
    """Draws votes for one agent (`respond`) or for many (`leaves`, `received`, `plurality`, ...), the same ones."""

    def __init__(self, model: Simulated, seed: int) -> None:
        self.model = model
        self.seed = seed
        self.gamma = model.gamma
        weights = np.array([level.weight for level in model.mixture])
        self._edges = np.cumsum(weights / weights.sum()) if len(weights) else weights
        self._signals = np.array([level.signal for level in model.mixture])

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"kind": "simulated", **self.model.model_dump(mode="json", exclude={"kind"})}

    def count(self, request: Request) -> int:
        """Return the tokens that the shown messages stand for."""
        shown = len(request.hint.shown) if request.hint else 0
        return self.cost(shown, False, True)[0]

    def cost(self, n_shown: int, by_rule: bool, speaks: bool) -> tuple[int, int]:
        """Return the tokens (in, out): every shown message is read, an answer costs its compute, a speaker writes."""
        out = (self.model.overhead if by_rule else self.model.compute) + (self.model.message if speaks else 0)
        return n_shown * self.model.message, out

    async def complete(self, request: Request) -> Completion:
        """Answer a prompt by its hint, for protocols that only know prompts."""
        if request.hint is None:
            raise CallError("rejected", "simulated voters answer turns of a society, not bare prompts")
        said = self.respond(request.hint)
        text = said.answer or ""
        return Completion(text, Usage(said.tokens_in, 0, said.tokens_out))

    # One voter. The arithmetic is that of the columns below, draw by draw.

    def respond(self, hint: Hint) -> VoterReply:
        """Return what one agent answers in one turn."""
        tokens_in, tokens_out = self.cost(len(hint.shown), hint.by_rule, hint.speaks)
        latency = 0.0
        if self.model.latency_s:
            # numpy's logarithm, as in columns: another one differs in the last digit
            latency = float(-self.model.latency_s * np.log1p(-self._draw("latency", hint)))
        options = hint.options
        if hint.purpose == "choose":
            chosen = self._chosen(hint)
            return VoterReply(hint.shown[chosen], tokens_in, tokens_out, latency, chosen=chosen)
        if hint.purpose == "check":
            right = bool(hint.shown) and hint.shown[0] == hint.truth
            accepts = self._draw("check", hint) < (self.model.accepts_right if right else self.model.accepts_wrong)
            return VoterReply(None, tokens_in, tokens_out, latency, accepts=accepts)
        if not options:
            return VoterReply(None, tokens_in, tokens_out, latency)
        if self.model.invalid and not hint.by_rule and self._draw("invalid", hint) < self.model.invalid:
            return VoterReply(None, tokens_in, tokens_out, latency, invalid=True)
        code = {option: index for index, option in enumerate(options)}
        own: int | None = None
        if not hint.by_rule and hint.purpose not in ("merge", "judge"):
            own = code.get(hint.own) if hint.own is not None else self._leaf(hint, code.get(hint.truth, -1))
        rejected: tuple[int, ...] = ()
        if hint.shown:
            sent = [code.get(answer, -1) if answer is not None else -1 for answer in hint.shown]
            if self.model.rejects is not None and not hint.by_rule:
                rejected = self._rejected(hint)
                sent = [answer for index, answer in enumerate(sent) if index not in rejected]
            if sent:
                own = self._combine(hint, self._received(hint, sent), own)
        answer = options[own] if own is not None and own >= 0 else None
        return VoterReply(answer, tokens_in, tokens_out, latency, rejected=rejected)

    def _draw(self, purpose: str, hint: Hint, draw: int = 0) -> float:
        return uniform(self.seed, purpose, hint.task, hint.round, hint.agent, draw + hint.sample * _SAMPLE_DRAWS)

    def _chosen(self, hint: Hint) -> int:
        """Return the place of the answer that a judge prefers: right ones weigh `judge_odds`, wrong ones 1."""
        if self.model.judge_bias and self._draw("judge", hint, 1) < self.model.judge_bias:
            return 0
        weights = [self.model.judge_odds if answer == hint.truth else 1.0 for answer in hint.shown]
        total = sum(weights)
        if not total:  # all are right, and the judge has no use for right ones
            weights, total = [1.0] * len(weights), float(len(weights))
        left = self._draw("judge", hint) * total
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return index
        return len(weights) - 1

    def _rejected(self, hint: Hint) -> tuple[int, ...]:
        """Return the places of the shown answers that are wrong and recognised as such."""
        rejects = self.model.rejects or 0.0
        return tuple(
            [
                index
                for index, answer in enumerate(hint.shown)
                if answer != hint.truth and self._draw("reject", hint, index) < rejects
            ]
        )

    def _leaf(self, hint: Hint, truth: int) -> int:
        k = len(hint.options)
        mu = self.signal_of(hint.task, hint.difficulty)
        right, other = self._leaf_draws(hint)
        if right < mu + (1 - mu) / k:
            return truth
        wrong = int(other * (k - 1))
        return wrong + (wrong >= truth)

    def _leaf_draws(self, hint: Hint) -> tuple[float, float]:
        """Return the two draws of an own answer: those of the question, where it has one answer for all."""
        if self.model.shared:
            common = [
                uniform(self.seed, "shared", hint.task, hint.question, self.model.source, draw) for draw in range(3)
            ]
            if common[0] < self.model.shared:
                return common[1], common[2]
        first, second = uniform_pair(
            self.seed, "leaf", hint.task, hint.round, hint.agent, hint.sample * (_SAMPLE_DRAWS // 2)
        )
        return first, second

    def _received(self, hint: Hint, sent: Sequence[int]) -> list[int]:
        k = len(hint.options)
        locked = self.model.lock > 0 and self._draw("lock", hint) < self.model.lock
        if locked and self.model.lock_order == "before_channel":
            sent = [sent[0]] * len(sent)
        heard = []
        for index, code in enumerate(sent):
            lost = self.gamma < 1 and self._draw("channel", hint, 2 * index) >= self.gamma
            heard.append(int(self._draw("channel", hint, 2 * index + 1) * k) if lost or code < 0 else code)
        if locked and self.model.lock_order == "after_channel":
            heard = [heard[0]] * len(heard)
        return heard

    def _combine(self, hint: Hint, heard: Sequence[int], own: int | None) -> int:
        keep = self.model.keep_own
        if own is not None and keep is not None:
            if self._draw("keep", hint) < keep:
                return own
            own = None
        votes = [0] * len(hint.options)
        for code in heard:
            votes[code] += 1
        if own is not None and own >= 0:
            votes[own] += 1
        best = max(votes)
        leading = [index for index, count in enumerate(votes) if count == best]
        return leading[int(self._draw("break", hint) * len(leading))] if len(leading) > 1 else leading[0]

    def signal_of(self, task: int, difficulty: float | None) -> float:
        """Return the leaf signal for one task."""
        if self.model.mixture:
            return float(self._signals[int(np.searchsorted(self._edges, self._task_draw(task), side="right"))])
        if self.model.signal == "task":
            return difficulty if difficulty is not None else 0.0
        return self.model.signal if self.model.signal is not None else self.model.leaf_signal()

    def _task_draw(self, task: int) -> float:
        return min(uniform(self.seed, "difficulty", task, 0, 0), float(np.nextafter(self._edges[-1], 0)))

    # Columns: the same draws for many voters at once. Shapes: (n,) one vote each, (n, b) b readings each.

    def signals(self, task: NDArray[np.int64], difficulty: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the leaf signal per task, shape (n,)."""
        if self.model.mixture:
            draws = uniforms(self.seed, "difficulty", task, 0, 0)[:, 0]
            draws = np.minimum(draws, np.nextafter(self._edges[-1], 0))
            return np.asarray(self._signals[np.searchsorted(self._edges, draws, side="right")])
        if self.model.signal == "task":
            return difficulty if difficulty is not None else np.zeros(len(task))
        value = self.model.signal if self.model.signal is not None else self.model.leaf_signal()
        return np.full(len(task), value)

    def leaves(
        self,
        task: NDArray[np.int64],
        round_: int,
        agent: NDArray[np.int64],
        truth: Codes,
        mu: NDArray[np.float64],
        k: int,
    ) -> Codes:
        """Return each voter's own answer, shape (n,)."""
        draws = uniforms(self.seed, "leaf", task, round_, agent, draws=2)
        if self.model.shared:
            where = np.broadcast_to(task, len(draws))
            common = uniforms(self.seed, "shared", where, 0, self.model.source, draws=3)
            draws = np.where(common[:, :1] < self.model.shared, common[:, 1:], draws)
        wrong = (draws[:, 1] * (k - 1)).astype(np.int64)
        wrong += wrong >= truth
        return np.where(draws[:, 0] < mu + (1 - mu) / k, truth, wrong)

    def received(self, task: NDArray[np.int64], round_: int, agent: NDArray[np.int64], sent: Codes, k: int) -> Codes:
        """Return what each reader reads of the messages `sent` to it, shape (n, b)."""
        n, b = sent.shape
        locked = None
        if self.model.lock > 0:
            locked = uniforms(self.seed, "lock", task, round_, agent)[:, 0] < self.model.lock
            if self.model.lock_order == "before_channel":
                sent = np.where(locked[:, None], sent[:, :1], sent)
        if self.gamma < 1 or (sent < 0).any():
            draws = uniforms(self.seed, "channel", task, round_, agent, draws=2 * b).reshape(n, b, 2)
            lost = (draws[:, :, 0] >= self.gamma) if self.gamma < 1 else np.zeros(sent.shape, bool)
            sent = np.where(lost | (sent < 0), (draws[:, :, 1] * k).astype(np.int64), sent)
        if locked is not None and self.model.lock_order == "after_channel":
            sent = np.where(locked[:, None], sent[:, :1], sent)
        return sent

    def combine(
        self,
        task: NDArray[np.int64],
        round_: int,
        agent: NDArray[np.int64],
        heard: Codes,
        own: Codes | None,
        k: int,
    ) -> Codes:
        """Return the plurality of what each agent heard, with its `own` answer as the model's rule has it."""
        n = len(heard)
        keeps = None
        rows = np.arange(n)[:, None] * k
        votes = np.bincount((rows + heard).reshape(-1), minlength=n * k).reshape(n, k)
        if own is not None and self.model.keep_own is not None:
            keeps = uniforms(self.seed, "keep", task, round_, agent)[:, 0] < self.model.keep_own
        elif own is not None:
            votes[np.arange(n)[own >= 0], own[own >= 0]] += 1
        leading = votes == votes.max(axis=1, keepdims=True)
        n_leading = leading.sum(axis=1)
        result = leading.argmax(axis=1)
        tied = np.flatnonzero(n_leading > 1)
        if len(tied):
            at = np.broadcast_to(np.asarray(task), (n,))[tied], np.broadcast_to(np.asarray(agent), (n,))[tied]
            draws = uniforms(self.seed, "break", at[0], round_, at[1])[:, 0]
            pick = (draws * n_leading[tied]).astype(np.int64)
            order = np.cumsum(leading[tied], axis=1) - 1
            result[tied] = ((order == pick[:, None]) & leading[tied]).argmax(axis=1)
        return result if keeps is None or own is None else np.where(keeps, own, result)
