"""K*: closed forms, invariances, both routes, and what it says of teams whose errors go together."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from agentsoc.society.coded import CodedAgent
from agentsoc.streams import uniform
from analysis.measures.diversity import (
    answer_weights,
    by_answer,
    correlation,
    equicorrelated,
    k_star,
    leave_one_out,
    redundancy,
)
from analysis.measures.diversity_logs import Diversity, LabelDiversity, diversity
from analysis.measures.embeddings import CachedEmbedder, cache_of
from analysis.measures.episodes import episode_metrics, run_metrics
from analysis.measures.information import information
from analysis.measures.outputs import Outputs, outputs_of
from tests.loose import Coin
from tests.strategies import scenario
from tests.synthetic_logs import ended, said, write_log

MATRICES = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1)).map(
    lambda shape: np.random.default_rng(shape[2]).normal(size=shape[:2])
)


def team(n: int, rho: float) -> NDArray[np.float64]:
    """Return n unit rows with pairwise cosine rho."""
    values, vectors = np.linalg.eigh(np.full((n, n), rho) + (1 - rho) * np.eye(n))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


@pytest.mark.parametrize("n", [1, 2, 3, 16, 40])
def test_orthogonal_agents_are_n_channels_and_copies_are_one(n: int) -> None:
    assert k_star(np.eye(n)) == pytest.approx(n, abs=1e-9)
    assert k_star(np.ones((n, 5))) == pytest.approx(1, abs=1e-9)
    assert k_star(np.zeros((n, 5))) == 1
    assert redundancy(np.ones((n, 5))) == pytest.approx(1, nan_ok=True) or n == 1
    assert k_star(np.eye(n), centred=True) == pytest.approx(max(n - 1, 1), abs=1e-9)
    assert k_star(np.full((n, 5), 0.1), centred=True) == 1


@pytest.mark.parametrize(("n", "rho", "published"), [(2, 0.0, 2.0), (4, 0.5, 2.93), (16, 0.9, 1.76), (16, 0.95, 1.37)])
def test_two_orthogonal_agents_are_worth_more_than_sixteen_near_copies(n: int, rho: float, published: float) -> None:
    assert k_star(team(n, rho)) == pytest.approx(equicorrelated(n, rho), abs=1e-9)
    assert round(equicorrelated(n, rho), 2) == published


@given(n=st.integers(2, 20), rhos=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_k_star_follows_the_closed_form_and_falls_with_the_cosine(n: int, rhos: tuple[float, float]) -> None:
    low, high = sorted(rhos)
    assert k_star(team(n, low)) == pytest.approx(equicorrelated(n, low), abs=1e-9)
    assert equicorrelated(n, high) <= equicorrelated(n, low) + 1e-12
    assert redundancy(team(n, low)) == pytest.approx(low, abs=1e-9)


@given(matrix=MATRICES, scale=st.sampled_from([1e-200, 1e-3, 1.0, 1e200]), seed=st.integers(0, 99))
def test_k_star_sees_neither_order_nor_rotation_nor_scale(matrix: Any, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(matrix.shape[1],) * 2))[0]
    expected, centred = k_star(matrix), k_star(matrix, centred=True)
    lengths = rng.uniform(0.5, 2, size=(len(matrix), 1))
    for other in (rng.permutation(matrix), matrix @ rotation, matrix * scale, matrix * lengths):
        assert k_star(other) == pytest.approx(expected, abs=1e-9)
        assert k_star(other, centred=True) == pytest.approx(centred, abs=1e-9)
    assert 1 - 1e-9 <= expected <= min(matrix.shape) + 1e-9


@given(matrix=MATRICES, centred=st.booleans())
def test_the_gram_and_the_covariance_route_agree(matrix: Any, centred: bool) -> None:
    gram, covariance = (k_star(matrix, centred=centred, route=route) for route in ("gram", "covariance"))
    assert gram == pytest.approx(covariance, abs=1e-9)


def test_random_rows_in_few_dimensions_are_not_as_many_channels() -> None:
    """Means over 200 and 50 draws; their standard errors are 0.02 and 0.003."""
    rng = np.random.default_rng(0)
    few = np.mean([k_star(rng.normal(size=(16, 16))) for _ in range(200)])
    many = np.mean([k_star(rng.normal(size=(16, 384))) for _ in range(50)])
    assert few == pytest.approx(10.0, abs=0.15)
    assert round(float(many), 1) == 15.7


def test_the_right_and_the_wrong_are_counted_apart_and_weighed() -> None:
    rows = np.eye(4)
    found = by_answer(rows, [1.0, 1.0, 1.0, 0.0])
    assert [found.correct, found.wrong, found.effective] == pytest.approx([3, 1.0, 2.5])
    assert by_answer(rows, [np.nan] * 4).effective == 0.5
    weights = answer_weights([1.0, 0.0, np.nan])
    assert weights == pytest.approx(np.array([1.0, 0.3, 0.5]) / 0.6)
    assert k_star(np.eye(3), weights=weights) < 3
    assert k_star(np.eye(3), weights=np.ones(3)) == pytest.approx(3)
    with pytest.raises(InputError, match="weighted or centred"):
        k_star(np.eye(3), weights=np.ones(3), centred=True)


def test_leaving_out_one_of_two_copies_costs_less_than_leaving_out_the_odd_one() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    delta = leave_one_out(rows)
    assert delta[0] == delta[1] < 0 < delta[2]
    assert delta[2] == pytest.approx(k_star(rows) - 1)


def test_a_correlation_needs_four_teams_that_differ() -> None:
    assert math.isnan(correlation([1, 2, 3], [1, 2, 3])[0])
    assert math.isnan(correlation([1, 1, 1, 1], [1, 2, 3, 4])[0])
    assert correlation([1, 2, 3, 4], [1, 2, 3, 4])[0] == 1
    r, low, high = correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])
    assert -1 < low < r < high < 1


class Herd(CodedAgent):
    """Says the truth with probability 0.6; with probability rho all agents of a source say one and the same."""

    kind: Literal["herd"] = "herd"
    rho: float = 0.0
    """Correlation of the errors of two agents of one source."""
    sources: int = 1
    """Agent i listens to source i mod sources."""

    async def act(self, view: View) -> Reply:
        source = 1_000_000 + view.agent % self.sources
        who = source if uniform(view.seed, "together", view.task, 0, source) < self.rho else view.agent
        right = uniform(view.seed, "right", view.task, 0, who) < 0.6
        truth = Coin(count=1).make(view.seed, view.task).truth
        return Reply(answer=truth if right else {"heads": "tails", "tails": "heads"}[truth])


@pytest.fixture(autouse=True, scope="module")
def _herd() -> Iterator[None]:
    Slot.register(Herd)
    yield
    Slot._loose[Herd.slot].pop("herd")


def herd(directory: Path, n: int, *, tasks: int = 1000, **settings: Any) -> tuple[float, float, float]:
    """Run a vote of a herd; return K* of the team, majority accuracy and individual accuracy."""
    done = run(
        scenario(
            tasks={"kind": "coin", "count": tasks},
            agents={"count": n, "model": {"kind": "herd", **settings}},
            topology="independent",
        ),
        directory,
    )
    table = episode_metrics(done)
    whole = diversity(outputs_of(done.frame())).team
    assert whole is not None
    alone = run_metrics(table, draws=2)["voter_accuracy"]
    assert alone is not None
    return whole, float(table["score"].mean()), alone.value  # type: ignore[arg-type]


def test_majority_accuracy_goes_with_k_star_among_teams_of_equal_size_and_skill(tmp_path: Path) -> None:
    """1,000 tasks a team: the standard error of an accuracy is 0.015, the range of the accuracies 0.13."""
    teams = [herd(tmp_path / f"{rho}", 9, rho=rho) for rho in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    channels, majority, alone = (np.array(column) for column in zip(*teams, strict=True))
    assert np.ptp(alone) < 0.06
    assert (np.diff(channels) < 0).all()
    r, low, _ = correlation(channels, majority)
    assert r > 0.9
    assert low > 0.5


def test_more_agents_of_the_same_sources_add_neither_channels_nor_accuracy(tmp_path: Path) -> None:
    copies = [herd(tmp_path / f"c{n}", n, rho=1.0, sources=3) for n in (3, 9, 15)]
    fresh = [herd(tmp_path / f"f{n}", n) for n in (3, 9, 15)]
    assert [k for k, _, _ in copies] == pytest.approx([copies[0][0]] * 3, abs=1e-9)
    assert [score for _, score, _ in copies] == [copies[0][1]] * 3
    for (k, score, _), (k_next, score_next, _) in itertools.pairwise(fresh):
        assert k_next > k + 0.5
        assert score_next > score + 0.02


class Letters:
    """An embedder for tests: counts letters."""

    name = "letters v1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.asked += texts
        return np.array([[text.count(letter) for letter in "ABC"] for text in texts], dtype=float)


def one_run(directory: Path) -> Outputs:
    """Two tasks, three agents, two rounds: agents 0 and 1 always agree."""
    events = []
    for task, rows in enumerate([["AAB", "AAC"], ["BBC", "CCC"]]):
        events += [said(task, r, agent, answer) for r, row in enumerate(rows) for agent, answer in enumerate(row)]
        events += ended(task, 2, "A")
    return outputs_of(write_log(directory, events).frame())


@pytest.mark.parametrize("embedded", [False, True])
def test_the_three_estimators_of_a_small_run(embedded: bool, tmp_path: Path) -> None:
    found = diversity(one_run(tmp_path / "run"), embedder=Letters() if embedded else None)
    # per question: one-hot rows of two rounds. Task 0: agents 0 and 1 equal, agent 2 apart; task 1: apart in round 0
    apart, half = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]), np.array([[1.0, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])

    def of_gram(gram: NDArray[np.float64]) -> float:
        share = np.linalg.eigvalsh(gram) / len(gram)
        return float(np.exp2(-sum(p * np.log2(p) for p in share if p > 1e-12)))

    if embedded:  # letters of both rounds: AA AA BC, then BC BC CC
        mixed = np.array([[1, 1, math.sqrt(0.5)], [1, 1, math.sqrt(0.5)], [math.sqrt(0.5), math.sqrt(0.5), 1]])
        assert found.questions["k_star"].to_list() == pytest.approx([of_gram(apart), of_gram(mixed)])
        assert found.embedding == "letters v1"
    else:
        assert found.questions["k_star"].to_list() == pytest.approx([of_gram(apart), of_gram(half)])
        assert found.questions["redundancy"].to_list() == pytest.approx([1 / 3, 2 / 3])
        # per round: agreement over both tasks. Round 0: agent 2 apart in both; round 1 and at the end: in one of two
        assert found.rounds["k_star"].to_list() == pytest.approx([of_gram(apart), of_gram(half), of_gram(half)])
        assert found.team == pytest.approx(of_gram(half))
    assert found.rounds["round"].to_list() == [0, 1, None]
    assert found.rounds["n_tasks"].to_list() == [2, 2, 2]
    assert found.cumulative["texts"].to_list() == [3.0, 6.0]
    delta = dict(found.agents.iter_rows())
    assert delta[0] == pytest.approx(delta[1])
    assert delta[2] > delta[0]
    assert found.embedding in found.summary()


Rounds = list[tuple[str, ...]]
"""What four agents said, a row a round; a dash for nothing."""


def logged(votes: list[Rounds]) -> list[Outputs]:
    """Return the outputs of each task by itself, and of all of them."""
    logs = []
    for task, rows in enumerate(votes):
        events = []
        for r, row in enumerate(rows):
            events += [said(task, r, agent, answer) for agent, answer in enumerate(row) if answer != "-"]
        logs.append(events + ended(task, len(rows), "A"))
    with tempfile.TemporaryDirectory() as scratch:
        return [
            outputs_of(write_log(Path(scratch) / str(i), events).frame())
            for i, events in enumerate([*logs, [event for events in logs for event in events]])
        ]


def one_hot(rows: Rounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the vectors of the agents that said something in a task, and their last scores, the slow way."""
    axes = sorted({(r, answer) for r, row in enumerate(rows) for answer in row if answer != "-"})
    agents = [agent for agent in range(4) if any(row[agent] != "-" for row in rows)]
    vectors = [[float(rows[r][agent] == answer) for r, answer in axes] for agent in agents]
    last = [next(row[agent] for row in reversed(rows) if row[agent] != "-") for agent in agents]
    return np.array(vectors), np.array([float(answer == "A") for answer in last])


MANY_VOTES = st.lists(
    st.lists(st.tuples(*[st.sampled_from("ABC-")] * 4), min_size=1, max_size=3), min_size=1, max_size=4
)


@given(votes=MANY_VOTES, centred=st.booleans())
@settings(deadline=None, max_examples=60)
def test_all_questions_at_once_give_what_one_at_a_time_gives(votes: list[Rounds], centred: bool) -> None:
    found = {row["task"]: row for row in diversity(logged(votes)[-1], centred=centred).questions.iter_rows(named=True)}
    for task, rows in enumerate(votes):
        matrix, score = one_hot(rows)
        assert (task in found) == (len(matrix) > 0)
        if not len(matrix):
            continue
        by = by_answer(matrix, score, centred=centred)
        expected = {
            "n_agents": len(matrix),
            "k_star": k_star(matrix, centred=centred),
            "k_star_correct": by.correct,
            "k_star_wrong": by.wrong,
            "k_star_effective": by.effective,
            "k_star_weighted": None if centred else k_star(matrix, weights=answer_weights(score)),
            "redundancy": None if len(matrix) == 1 else redundancy(matrix),
        }
        for name, value in expected.items():
            assert found[task][name] == (None if value is None else pytest.approx(value, abs=1e-9)), name


def numbers(found: Diversity) -> list[Any]:
    tables = (found.questions, found.rounds, found.cumulative, found.agents)
    return [value for table in tables for row in table.rows() for value in row]


@given(votes=MANY_VOTES, centred=st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_run_read_task_by_task_is_as_diverse_as_one_read_at_once(votes: list[Rounds], centred: bool) -> None:
    *tasks, whole = logged(votes)
    pieces = LabelDiversity(centred=centred)
    for outputs in tasks:
        pieces.add(outputs.coded)
    at_once, piecewise = numbers(diversity(whole, centred=centred)), numbers(pieces.result())
    assert [value is None for value in piecewise] == [value is None for value in at_once]
    known = [(a, b) for a, b in zip(piecewise, at_once, strict=True) if b is not None]
    assert [a for a, _ in known] == pytest.approx([b for _, b in known], abs=1e-9)


@given(votes=MANY_VOTES)
@settings(deadline=None, max_examples=40)
def test_agents_agree_as_often_as_they_say_the_same(votes: list[Rounds]) -> None:
    """The row of the end, against counting pairs over the tasks that all agents of the run answered."""
    found = diversity(logged(votes)[-1]).rounds.filter(pl.col("round").is_null())
    standing = [
        {a: next(row[a] for row in reversed(rows) if row[a] != "-") for a in range(4) if any(r[a] != "-" for r in rows)}
        for rows in votes
    ]
    agents = sorted(set().union(*standing))
    complete = [task for task in standing if len(task) == len(agents)]
    assert found.height == (len(complete) > 0 and len(agents) > 0)
    if found.height:
        gram = np.array([[np.mean([t[a] == t[b] for t in complete]) for b in agents] for a in agents])
        lam = np.linalg.eigvalsh(gram) / len(agents)
        assert found["k_star"][0] == pytest.approx(np.exp2(-sum(p * np.log2(p) for p in lam if p > 1e-12)))
        assert found["n_tasks"][0] == len(complete)


def test_texts_are_embedded_once_for_a_run(tmp_path: Path) -> None:
    first, second = Letters(), Letters()
    outputs = one_run(tmp_path / "run")
    place = cache_of(RunLog(tmp_path / "run"))
    assert place is not None
    whole = diversity(outputs, embedder=CachedEmbedder(first, place))
    again = diversity(outputs, embedder=CachedEmbedder(second, place))
    assert len(first.asked) == len(set(first.asked)) > 0
    assert second.asked == []
    assert whole.questions.equals(again.questions)
    assert not place.is_relative_to(tmp_path)
    files = list(place.iterdir())
    assert [file.name.startswith("letters-v1-") for file in files] == [True]
    files[0].write_bytes(b"broken")
    diversity(outputs, embedder=CachedEmbedder(second, place))
    assert sorted(second.asked) == sorted(first.asked)


def test_a_run_that_says_what_its_digest_is_does_not_say_where_vectors_are_kept(tmp_path: Path) -> None:
    one_run(tmp_path / "run")
    log = RunLog(tmp_path / "run")
    for digest in (None, "", "..", "../" * 20 + "x", "/" + "0" * 63, "0" * 63 + "\n"):
        log.manifest.digest = digest
        assert cache_of(log) is None


def test_an_embedder_that_gives_nonsense_is_refused(tmp_path: Path) -> None:
    class Broken(Letters):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
            return np.full((len(texts), 2), np.nan)

    with pytest.raises(InputError, match="not finite"):
        CachedEmbedder(Broken(), None).embed(["a"])


def test_information_is_bounded_and_a_copy_adds_none() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    truth = rng.integers(2, size=n)
    first = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    other = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    columns = [first, first, other]
    rows = pl.DataFrame(
        {
            "task": np.repeat(np.arange(n), 3),
            "round": np.zeros(3 * n, np.int64),
            "agent": np.tile(np.arange(3), n),
            "answer": np.array(["A", "B"])[np.stack(columns, axis=1).reshape(-1)],
            "text": [None] * (3 * n),
            "correct": np.zeros(3 * n),
        }
    )
    found = information(Outputs(rows), pl.DataFrame({"task": np.arange(n), "truth": np.array(["A", "B"])[truth]}))
    exact = 1 + 0.8 * math.log2(0.8) + 0.2 * math.log2(0.2)
    assert found["information"][0] == pytest.approx(exact, abs=0.03)
    assert abs(found["gain"][1]) < 0.01
    assert found["gain"][2] > 0.05
    assert (found["information"] <= found["bound"]).all()
    few = Outputs(rows.filter(pl.col("task") < 15))
    assert not information(few, pl.DataFrame({"task": np.arange(n), "truth": ["A"] * n})).height
