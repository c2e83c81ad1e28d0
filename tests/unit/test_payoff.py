"""Games with payoffs: their equilibria against nashpy and closed forms, and what holds of every policy."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from agentsoc.contracts.environments import STATE_BYTES, Draw
from agentsoc.contracts.script import Script
from agentsoc.environments.payoff import Payoff
from agentsoc.environments.payoff_games import NEEDS, Game
from agentsoc.environments.playing import play_out
from agentsoc.errors import InputError
from agentsoc.theory import games

GAMES: dict[str, dict[str, Any]] = {
    "prisoners-dilemma": {},
    "stag-hunt": {},
    "public-goods": {},
    "public-goods with punishment": {"punishment": True},
    "trust": {},
    "coopetition": {},
    "coopetition by trust": {"goes_by": "integrated"},
    "team-production": {},
}


def world(name: str, **more: Any) -> Payoff:
    return Payoff(game=name.split(" ")[0], **{**GAMES[name], **more})


def tables(game: Game, actions: tuple[list[Any], list[Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the payoff matrices of a game of two with one phase, on these actions."""
    pays = [[game.pay(2, [{0: a, 1: b}]) for b in actions[1]] for a in actions[0]]
    return np.array([[p[0] for p in row] for row in pays]), np.array([[p[1] for p in row] for row in pays])


def equilibria(first: np.ndarray, second: np.ndarray) -> list[tuple[list[float], list[float]]]:
    nashpy = pytest.importorskip("nashpy")
    found = nashpy.Game(first, second).support_enumeration()
    return sorted(tuple(np.round(side, 9).tolist() for side in pair) for pair in found)


def test_to_defect_is_the_only_equilibrium_of_the_dilemma() -> None:
    game = world("prisoners-dilemma").played
    first, second = tables(game, (["cooperate", "defect"], ["cooperate", "defect"]))
    assert first.tolist() == [[3, 0], [5, 1]] == second.T.tolist()
    assert equilibria(first, second) == [([0, 1], [0, 1])]


def test_the_stag_hunt_has_two_pure_equilibria_and_one_where_three_of_four_hunt_the_stag() -> None:
    first, second = tables(world("stag-hunt").played, (["stag", "hare"], ["stag", "hare"]))
    assert equilibria(first, second) == [([0, 1], [0, 1]), ([0.75, 0.25], [0.75, 0.25]), ([1, 0], [1, 0])]


def test_nobody_gives_in_equilibrium_and_the_best_for_all_is_that_everybody_gives_everything() -> None:
    game = world("public-goods", endowment=4).played
    coins: list[Any] = list(range(5))
    first, second = tables(game, (coins, coins))
    assert equilibria(first, second) == [([1, 0, 0, 0, 0], [1, 0, 0, 0, 0])]
    sums = {(a, b): sum(game.pay(2, [{0: a, 1: b}])) for a in coins for b in coins}
    assert max(sums, key=lambda pair: sums[pair]) == (4, 4)
    assert game.welfare(2) == (min(sums.values()), max(sums.values()))


def test_the_pot_pays_as_the_rules_say() -> None:
    assert games.shared_pot([20, 20, 0, 0], 20, 1.6) == [16, 16, 36, 36]
    assert games.fined([[0, 2, 0], [0, 0, 0], [1, 1, 0]], 1, 3) == [-2 - 3, -3 * 3, -2]


def test_fines_make_giving_the_better_answer_to_those_who_fine() -> None:
    world_ = world("public-goods with punishment")
    game = world_.played
    acts: list[dict[int, Any]] = [{0: 20, 1: 20, 2: 20, 3: 0}]
    points = {agent: game.act(1.0, agent, 4, acts) for agent in range(3)} | {3: [0] * 4}
    assert [points[agent][3] for agent in range(3)] == [2, 2, 2]  # 18 for 12 that were gained
    total = [a + b for a, b in zip(game.pay(4, acts), game.pay(4, [acts[0], points]), strict=True)]
    assert total[3] == 20 + 24 - 3 * 6
    assert total[3] < game.pay(4, [dict.fromkeys(range(4), 20)])[3]


def test_trust_unravels_from_its_end() -> None:
    game = world("trust", endowment=3).played
    replies = [list(range(3 * sent + 1)) for sent in range(4)]
    plans = list(itertools.product(*replies[1:]))  # what the second returns for each amount sent
    first = np.array([[game_pay(game, sent, (0, *plan))[0] for plan in plans] for sent in range(4)])
    second = np.array([[game_pay(game, sent, (0, *plan))[1] for plan in plans] for sent in range(4)])
    best = [
        [plan[sent - 1] for plan in plans if second[sent, plans.index(plan)] == second[sent].max()]
        for sent in (1, 2, 3)
    ]
    assert all(set(returned) == {0} for returned in best)  # whoever is trusted keeps it all
    unravelled = plans.index((0, 0, 0))
    assert first[:, unravelled].argmax() == 0  # so nothing is sent
    nashpy = pytest.importorskip("nashpy")
    nothing = np.eye(4)[0], np.eye(len(plans))[unravelled]
    assert nashpy.Game(first, second).is_best_response(*nothing) == (True, True)


def game_pay(game: Game, sent: int, returns: tuple[int, ...]) -> list[float]:
    acts: list[dict[int, Any]] = [{0: sent}, {1: returns[sent]}]
    return [a + b for a, b in zip(game.pay(2, acts[:1]), game.pay(2, acts), strict=True)]


def test_free_riders_make_the_effort_of_the_closed_form_and_a_team_a_hundred_times_as_much() -> None:
    total = games.free_riding_total(25, 0.7, 1, 4)
    assert f"{total:.2f}" == "136.96"
    assert f"{games.best_team_total(25, 0.7, 1) / total:.1f}" == "101.6" == f"{4 ** (1 / 0.3):.1f}"
    efforts = [3.0, 50.0, 20.0, 0.0]
    for _ in range(200):  # each in turn does what is best against the others
        for agent in range(4):
            others = sum(efforts) - efforts[agent]
            efforts[agent] = max(total - others, 0.0)  # where a unit of effort gives just what it costs
            slope = 25 * 0.7 * (others + efforts[agent]) ** -0.3 / 4 - 1
            assert slope == pytest.approx(0, abs=1e-9) or (efforts[agent] == 0 and slope < 0)
    assert sum(efforts) == pytest.approx(total)
    grid = np.linspace(0, 20_000, 20_001)
    assert grid[(25 * grid**0.7 - grid).argmax()] == pytest.approx(games.best_team_total(25, 0.7, 1), abs=1)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("gamma", [0.0, 0.65, 0.95])
def test_efforts_of_coopetition_are_best_replies_and_the_best_for_all(n: int, gamma: float) -> None:
    grid = np.linspace(0, 100, 10_001)
    selfish, best = games.selfish_effort(20, gamma, n), games.best_effort(20, gamma, n)
    own = [games.coopetition([effort] + [selfish] * (n - 1), 100, 20, gamma)[0] for effort in grid]
    assert grid[int(np.argmax(own))] == pytest.approx(selfish, abs=0.011)
    together = [sum(games.coopetition([effort] * n, 100, 20, gamma)) for effort in grid]
    assert grid[int(np.argmax(together))] == pytest.approx(best, abs=0.011)
    if not gamma:
        assert selfish == best == 19  # theta - 1


def test_two_who_choose_on_a_grid_meet_where_the_closed_form_says() -> None:
    effort = games.selfish_effort(20, 0.65, 2)
    grid: list[Any] = [effort - 8, effort - 3, effort, effort + 3, effort + 8]
    first, second = tables(world("coopetition").played, (grid, grid))
    assert equilibria(first, second) == [([0, 0, 1, 0, 0], [0, 0, 1, 0, 0])]


def test_trust_is_lost_three_times_as_fast_as_it_is_won_and_stays_between_zero_and_one() -> None:
    up, down = games.trust_after(0.5, 0, 0.4)[0] - 0.5, games.trust_after(0.5, 0, -0.4)[0] - 0.5
    assert -down / up == pytest.approx(3)
    trust, damage, rng = 0.5, 0.0, np.random.default_rng(1)
    for signal in rng.uniform(-1, 1, 2_000):
        trust, damage = games.trust_after(trust, damage, signal, 1.0)
        assert 0 <= trust <= 1
        assert 0 <= damage <= 1


@pytest.mark.parametrize("rounds", [1, 10])
@pytest.mark.parametrize("name", GAMES)
def test_the_optimal_policy_reaches_one_and_the_others_less(name: str, rounds: int) -> None:
    game = world(name, rounds=rounds)
    n = 2 if game.played.players[1] == 2 else 4
    played = play_out(game, game.task(1, 0), n, 1)
    assert (played.score, played.ended) == (1.0, "played")
    assert len(played.actions) == rounds * game.played.phases
    assert play_out(game, game.task(1, 0), n, 1, Script("selfish")).score < 1
    assert play_out(game, game.task(1, 0), n, 1, Script("conditional")).score == 1.0
    for state in played.states:
        assert json.loads(json.dumps(state)) == state
    if rounds == 10:
        for spoiled in ("quality", "error"):
            means = []
            for amount in (0.1, 0.4, 0.9):
                script = Script("noisy", **({"quality": 1 - amount} if spoiled == "quality" else {"error": amount}))
                means.append(sum(play_out(game, game.task(1, i), n, 1, script).score for i in range(12)))
            assert 12 > means[0] > means[2]
            assert means[0] >= means[1] >= means[2]  # hunters of a stag come to nothing at once


def test_who_was_fined_gives_from_then_on_and_without_fines_nobody_does() -> None:
    def gives(punishment: bool) -> list[int]:
        game = world("public-goods with punishment", punishment=punishment)
        state, given = game.opening(game.task(1, 0), 4, 1), []
        while game.over(state) is None:
            scripts = [Script("optimal")] * 3 + [Script("selfish")]
            acts = {
                agent: game.scripted(script, state, agent, Draw(1, "s", 0, 0)) for agent, script in enumerate(scripts)
            }
            if not state["acts"]:
                given.append(acts[3])
            state = game.resolve(state, acts, Draw(1, "w", 0, 0)).state
        return given

    assert gives(True) == [0] + [20] * 9
    assert gives(False) == [0] * 10


def test_a_conditional_player_answers_what_it_saw() -> None:
    game = world("prisoners-dilemma", rounds=3)
    state = game.opening(game.task(1, 0), 2, 1)
    said = []
    for other in ("defect", "cooperate", "defect"):
        said.append(game.scripted(Script("conditional"), state, 0, Draw(1, "s", 0, 0)))
        state = game.resolve(state, {0: said[-1], 1: other}, Draw(1, "w", 0, 0)).state
    assert said == ["cooperate", "defect", "cooperate"]
    seen = game.observe({**state, "round": 2}, 1).text
    assert "Last round: agent 0 cooperate, agent 1 defect. You got 5." in seen


def test_trusted_partners_reward_each_other_and_a_slacker_is_trusted_less() -> None:
    game = world("coopetition by trust")
    state = game.opening(game.task(1, 0), 2, 1)
    step = game.resolve(state, {0: 26.0, 1: 3.0}, Draw(1, "w", 0, 0))
    paid = games.coopetition([26.0, 3.0], 100, 20, 0.65)
    assert step.rewards[0] == pytest.approx(paid[0] + 0.5 * 0.5 * paid[1])
    assert step.state["trust"][0][1] < 0.5 < step.state["trust"][1][0]
    mean = world("coopetition", goes_by="cooperative").resolve(state, {0: 26.0, 1: 3.0}, Draw(1, "w", 0, 0)).rewards
    assert mean == {0: pytest.approx(sum(paid) / 2), 1: pytest.approx(sum(paid) / 2)}


@pytest.mark.parametrize("name", GAMES)
def test_the_largest_group_keeps_its_state_small(name: str) -> None:
    game = world(name, rounds=2)
    most = 20 if "by trust" in name else 60 if "punishment" in name else game.played.players[1]
    played = play_out(game, game.task(1, 0), most, 1, Script("noisy", error=0.5))
    assert max(len(json.dumps(state)) for state in played.states) < STATE_BYTES
    for state in played.states[:-1]:
        assert len(game.observe(state, 0).text) < 8_000


def test_settings_of_other_games_and_wrong_numbers_of_players_are_refused() -> None:
    with pytest.raises(ValidationError, match="stag: not a setting of trust, which has endowment, factor"):
        Payoff(game="trust", stag=3)
    with pytest.raises(ValidationError, match="temptation > reward"):
        Payoff(game="prisoners-dilemma", reward=6)
    with pytest.raises(ValidationError, match="worth more than the hare"):
        Payoff(game="stag-hunt", hare=5)
    with pytest.raises(InputError, match="trust is a game of 2 agents, got 3"):
        world("trust").check_agents(3)
    with pytest.raises(InputError, match="there is no dilemma"):
        world("public-goods", factor=4).check_agents(4)
    with pytest.raises(InputError, match="2 to 60 agents"):
        world("public-goods with punishment").check_agents(61)
    assert set().union(*NEEDS.values()) <= set(Payoff.model_fields)
