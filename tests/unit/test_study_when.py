"""The study of small models: its files are sound, what is kept gives the page, and the page says no more."""

from __future__ import annotations

import json
import re
from copy import copy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from scipy.stats import binom

import agentsoc
from agentsoc.errors import BackendSetupError, InputError
from agentsoc.experiment.grid import load_grid
from agentsoc.theory.proportion import wilson
from analysis.interval import Interval
from benchmarks import study_when, when
from benchmarks.claims import CLAIMS, TEAMS
from benchmarks.when import PARTS, PILOT, Part, file_of, grid_of, keep, kept, parts
from benchmarks.when_facts import (
    claims_words,
    cut_words,
    guess_words,
    one_answer,
    read_nothing,
    room_words,
    worth_words,
)
from benchmarks.when_page import (
    IMAGES,
    NOTES,
    PAGE,
    Talk,
    among_better,
    p_words,
    page,
    picture,
    talk_of,
    talk_words,
    talking,
    took_table,
)

STAND_IN = """
name: stand-in
description: When is a society of small models worth its tokens? Voters who count what they read.
base:
  seed: 3
  tasks: {kind: signal, count: 60}
  agents: {model: {kind: simulated, signal: 0.4, message: 20}}
organisations:
  single: {preset: single, agents: {iterations: 1}}
  self-consistency: {preset: self-consistency, fill: {dial: samples, values: [3, 5]}}
  debate: {preset: debate, agents: {count: 5}, fill: {dial: rounds, values: [1, 3]}}
  placebo: {preset: placebo, agents: {count: 5}, fill: {dial: rounds, values: [1, 3]}}
budgets: [2000, 9000]
seeds: 1
baseline: self-consistency
"""

AT_ONE_CEILING = """
name: at-one-ceiling
description: Voters under one ceiling.
base:
  tasks: {kind: signal, count: 30}
  agents: {model: {kind: simulated, signal: 0.4, message: 20}}
  budget: {tokens_per_task: 9000}
organisations:
  single: {preset: single, agents: {iterations: 1}}
  debate: {preset: debate}
seeds: 1
baseline: single
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a comparison of voters in place of sums, keep it, and return where all of it is."""
    home = tmp_path_factory.mktemp("when")
    for name, said in zip(PARTS, (STAND_IN, AT_ONE_CEILING), strict=False):
        file = home / f"{name}.yaml"
        file.write_text(said)
        agentsoc.compare(file, home / name, workers=1)
        keep(name, home / name, home / "kept", load_grid(file))
    return home


@pytest.fixture(scope="module")
def stand_in(home: Path) -> Part:
    return parts(home / "kept")[0]


@pytest.fixture(scope="module")
def text(home: Path, stand_in: Part) -> str:
    found = page([stand_in, *parts(home / "kept")[1:]], kept(PILOT))
    assert found is not None
    return found


@pytest.mark.parametrize("name", [*PARTS, *CLAIMS, TEAMS, PILOT])
def test_a_file_of_the_study_asks_for_what_the_study_is_of(name: str) -> None:
    grid = grid_of(name)
    assert {group.model.kind for cell in grid.cells for group in cell.scenario.agents} == {"local"}
    assert when.model_of(grid) in when.SPEEDS
    assert "smollm2" in name or name == PILOT or when.model_of(grid).endswith(name.rsplit("-", 1)[1])
    head = file_of(name).read_text().splitlines()
    assert sum(line.startswith(("# Shows: ", "# Look at: ", "# Time: ")) for line in head) == 3
    tasks = {cell.scenario.tasks.count for cell in grid.cells}
    assert f"({len(grid.cells)} runs of {tasks.pop()} tasks)" in file_of(name).read_text()
    if set(grid.asked.comparison.organisations) >= {"debate"} and grid.levels:  # who talks has its placebo
        of = {(one.dial.organisation, one.dial.budget): one.dial.value for one in grid.levels}
        assert all(of["placebo", budget] == value for (who, budget), value in of.items() if who == "debate")


def test_the_speeds_are_those_that_the_documentation_states() -> None:
    said = (when.ROOT / "docs" / "providers.md").read_text()
    for name, (ahead, back) in when.SPEEDS.items():
        assert re.search(rf"\| `{re.escape(name)}` \|.*\| {ahead:g} / {back:g} \|", said)
    assert when.cpu_hours("qwen2.5-coder-0.5b", 75 * 3600, 12 * 1800) == pytest.approx(1.5)
    assert when.cpu_hours("another", 1, 1) is None


@pytest.mark.parametrize("name", [*PARTS, *CLAIMS, TEAMS])
def test_a_part_checks_and_what_it_takes_is_said_before_it_is_made(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = study_when.main(["plan", "--only", name, "--runs", str(tmp_path)])
    said, fault = capsys.readouterr()
    if code:  # a ceiling so low that prompts have to be counted exactly, and not bounded by their bytes
        assert re.match(rf"{re.escape(name)} cannot be made yet: .* the model .* is not here", fault)
        pytest.skip(f"the model of {name} is not here")
    runs, model = len(grid_of(name).cells), re.escape(when.model_of(grid_of(name)))
    awaited = (
        rf"{re.escape(name)}: 0 of {runs} runs are finished; about [\d,]+ calls, \d\.\d CPU-hours of {model} are left"
        r"(; replies are kept, which it begins with)?\n"
    )
    assert re.fullmatch(awaited, said)
    assert not (tmp_path / name).exists(), "nothing is started"


def test_a_part_whose_model_is_not_here_is_told_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def make(name: str, runs: Path, *, small: bool) -> int:
        made.append(name)
        return 0

    def foretold(name: str, runs: Path) -> str:
        if name == PARTS[0]:
            raise BackendSetupError("the model is not here", "", "get it")
        return f"{name}: all is left"

    monkeypatch.setattr(study_when, "foretold", foretold)
    monkeypatch.setattr(study_when, "make", make)
    asked = ["--only", *PARTS[:2], "--runs", str(tmp_path)]
    for verb, expected in (("plan", []), ("run", [PARTS[1]])):
        assert study_when.main([verb, *asked]) == 1
        said, fault = capsys.readouterr()
        assert said == f"{PARTS[1]}: all is left\n"
        assert fault == f"{PARTS[0]} cannot be made yet: the model is not here\n    get it\n"
        assert made == expected


def test_the_record_and_the_table_of_the_pilot_are_those_of_its_file() -> None:
    pilot = kept(PILOT)
    assert pilot is not None
    assert pilot.results.record.hash == grid_of(PILOT).hash
    assert pilot.made["tokens_in"] == pilot.results.table["tokens_in"].sum()


@pytest.mark.parametrize("name", [*PARTS, *CLAIMS, TEAMS])
def test_what_is_kept_of_a_part_is_of_the_file_that_is_shipped(name: str) -> None:
    found = kept(name)
    if found is None:
        pytest.skip("nothing of this part is kept yet")
    record = found.results.record
    assert record.hash == grid_of(name).hash
    assert all(cell.status == "finished" and cell.digest for cell in record.cells)


def test_the_page_is_what_follows_from_what_is_kept() -> None:
    found = parts()
    text = page(found, kept(PILOT))
    if text is None:
        assert not PAGE.exists()
        assert PAGE.name not in (PAGE.parent / "index.md").read_text()
        return
    assert PAGE.read_text(encoding="utf-8") == text
    assert f"]({PAGE.name})" in (PAGE.parent / "index.md").read_text()
    drawn = {part.name: svg for part in found if (svg := picture(part)) is not None}
    assert {path.stem: path.read_text(encoding="utf-8") for path in IMAGES.glob("*.svg")} == drawn


def test_every_score_and_token_of_a_page_follows_from_the_table_alone(home: Path, text: str) -> None:
    table = pl.read_parquet(home / "kept" / PARTS[0] / "results.parquet")
    for name in table["organisation"].unique().to_list():
        own = table.filter(pl.col("organisation") == name)
        cells = []
        for budget in (2000, 9000):
            rows = own.filter(pl.col("budget") == budget)
            right, n = int(rows["score"].sum()), rows.height
            low, high = wilson(right / n, n, 1.959964)
            spent = (rows["tokens_in"] + rows["tokens_out"]).mean()
            assert isinstance(spent, float)
            shown = f"{spent:.1f}" if spent < 100 else f"{spent:,.0f}"
            cells.append(f"{right / n:.3f} [{low:.3f}, {high:.3f}] ({shown})")
        assert f"| {name} | {' | '.join(cells)} |" in text
    wide = table.filter(pl.col("budget") == 9000).pivot("organisation", index="task", values="score")
    gap = (wide["debate"] - wide["placebo"]).mean()
    assert isinstance(gap, float)
    assert f"\n| at 9,000 | {gap:+.3f} [" in text
    assert "\n| at 2,000 | " not in text, "a debate of one round talks of nothing"
    assert "](images/study/sums-0.5b.svg)" in text
    rest = ", ".join(f"`{name}`" for name in PARTS[2:])
    assert text.count(f"Of the study these parts are not made yet: {rest}. Nothing here is about them.") == 1
    for name in PARTS[2:]:
        assert text.count(name) == 1, "a part that is not finished has no line"


def test_a_part_at_one_ceiling_has_one_table_and_without_a_placebo_nothing_is_said_of_talking(
    home: Path, text: str
) -> None:
    table = pl.read_parquet(home / "kept" / PARTS[1] / "results.parquet").pivot(
        "organisation", index="task", values="score"
    )
    games = [int((sign * (table["debate"] - table["single"]) > 0).sum()) for sign in (1, -1)]
    below = text.partition("## Voters under one ceiling")[2]
    (row,) = re.findall(r"^\| debate \| .*$", below.partition("## What it took")[0], re.MULTILINE)
    assert f" | {games[0]}/{30 - sum(games)}/{games[1]} | " in row
    said = text.partition("- **Voters under one ceiling.**")[2].partition("\n\n")[0]
    assert "\n  Nothing is said of talking: there is no placebo.\n" in said
    assert f"images/study/{PARTS[1]}" not in text


def test_what_is_missing_and_how_talking_is_told_is_said_only_where_it_is_so(stand_in: Part, home: Path) -> None:
    silent = parts(home / "kept")[1]
    every = [replace(stand_in, name=name) for name in PARTS]
    for found, missing, told in (([silent], True, False), (every, False, True)):
        written = page(found, None)
        assert written is not None
        assert ("these parts are not made yet" in written) is missing
        assert ("- **Talking.**" in written) is told


def test_what_the_parts_took_is_added_up_where_the_speed_of_each_model_is_known(home: Path) -> None:
    found = parts(home / "kept")
    calls, tokens = (
        [sum(part.made[name] for name in names) for part in found] for names in (["calls"], ["tokens_in", "tokens_out"])
    )
    said = "\n".join(took_table(found))
    assert f"\n| all | | | {sum(calls):,} | {sum(tokens):,} | - | |\n" in said
    timed = [replace(part, made={**part.made, "cpu_hours": 1.25 * n}) for n, part in enumerate(found, 1)]
    said = "\n".join(took_table(timed))
    assert f" | {calls[0]:,} | {tokens[0]:,} | 1.25 | " in said
    assert f"\n| all | | | {sum(calls):,} | {sum(tokens):,} | 3.75 | |\n" in said
    assert "| all |" not in "\n".join(took_table(found[:1]))


def test_one_answer_for_all_tasks_is_told_where_it_is_so(stand_in: Part, text: str) -> None:
    def answering(n: int, budget: int = 9000) -> Part:
        """Return the part with n of the 60 answers of the debate at a ceiling replaced by one word."""
        table = stand_in.results.table
        here = (pl.col("organisation") == "debate") & (pl.col("budget") == budget)
        at = pl.int_range(pl.len()).over("organisation", "budget")
        answer = pl.when(here & (at < n)).then(pl.lit("yes")).otherwise(at.cast(pl.String))
        return replace(stand_in, results=replace(stand_in.results, table=table.with_columns(answer=answer)))

    assert one_answer(answering(53)) is None
    alike = answering(54)
    said = (
        'Nearly one answer for all tasks: debate at 9,000 ("yes", 54 of 60). Such a score says how many tasks have '
        "that right answer, and nothing of how the answer came about."
    )
    assert one_answer(alike) == said
    told = page([alike], None) or ""
    assert f"\n- {said}\n" in told
    nothing = "Of talking nothing follows: the debate or its placebo gives nearly all tasks one answer at 9,000."
    assert talk_of(alike) == nothing
    assert f"\n  {nothing}\n" in told
    for other in (answering(53), answering(54, 2000)):  # at 2,000 there is one round: nobody talks
        assert talk_of(other) == talk_words(talking(other), "self-consistency", has_placebo=True)
        assert nothing not in (page([other], None) or "")


def test_what_guessing_and_one_agent_score_stands_before_what_is_concluded(
    stand_in: Part, home: Path, text: str
) -> None:
    made = {"chance": 0.25, "answer": "A", "share": 0.3}
    part = replace(stand_in, made={**stand_in.made, "guess": made})
    assert guess_words(part) == 'Guessing scores 0.250; "A" for every task scores 0.300.'
    assert guess_words(replace(part, made={"guess": {**made, "share": 0.29}})) == "Guessing scores 0.250."
    none = {"chance": 0.0, "answer": "A", "share": 0.1}
    assert guess_words(replace(part, made={"guess": none})) == "Guessing scores next to nothing."
    table = pl.read_parquet(home / "kept" / PARTS[0] / "results.parquet")
    cells = table.group_by("organisation", "budget").agg(pl.col("score").mean(), pl.col("tokens").mean()).to_dicts()
    one = min((cell for cell in cells if cell["organisation"] == "single"), key=lambda cell: float(cell["tokens"]))
    others = [cell for cell in cells if cell is not one]
    said = worth_words(part)
    assert said.startswith(f"One agent scored {one['score']:.3f} for {one['tokens']:.0f} tokens a task. More scored ")
    for cell in others:
        times = f"{cell['tokens'] / one['tokens']:.1f} times"
        told = f"{cell['organisation']} at {cell['budget']:,} ({cell['score']:.3f} for {times})"
        assert (told in said) == (cell["score"] > one["score"])
    assert f"{guess_words(stand_in)} {worth_words(stand_in)} " in text
    level = stand_in.results.table.with_columns(score=pl.lit(0.0))
    flat = worth_words(replace(stand_in, results=replace(stand_in.results, table=level)))
    assert " Nothing scored more. 7 others scored no more for " in flat
    assert worth_words(parts(home / "kept")[1]) == "", "no curves, nothing of the kind"


def test_what_a_ceiling_ended_what_failed_and_what_was_read_is_counted(stand_in: Part, text: str) -> None:
    table = stand_in.results.table
    calls = int(table["calls"].sum())
    assert list(cut_words(stand_in)) == [f"Calls that failed: 0 of {calls:,}."]
    assert f"\n- Calls that failed: 0 of {calls:,}.\n" in text
    here = (pl.col("organisation") == "debate") & (pl.col("budget") == 2000) & (pl.col("task") < 7)
    ended = table.with_columns(
        stop=pl.when(here).then(pl.lit("budget_exhausted")).otherwise("stop"),
        calls_failed=pl.when(here).then(2).otherwise("calls_failed"),
    )
    assert list(cut_words(replace(stand_in, results=replace(stand_in.results, table=ended)))) == [
        "The ceiling ended tasks before their organisation was through (scores are of what was paid for): "
        "debate at 2,000 7 of 60.",
        f"Calls that failed: 14 of {calls:,}.",
    ]
    due = {
        name: int(table.filter(pl.col("organisation") == name)["claims_due"].sum()) for name in ("debate", "placebo")
    }
    said = claims_words(stand_in)
    if all(due.values()):
        assert said == (
            f"Claims to be read, over all ceilings: {due['debate']:,} in the debate, {due['placebo']:,} in its placebo."
        )
        assert f"\n- {said}\n" in text
    unread = replace(stand_in, results=replace(stand_in.results, table=table.with_columns(claims_due=pl.lit(0))))
    assert claims_words(unread) is None
    assert "\n- In one round nobody reads anything: debate at 2,000, placebo at 2,000.\n" in text
    assert read_nothing(stand_in) is not None
    dials = [dial.model_copy(update={"value": 2}) for dial in stand_in.results.record.dials]
    record = stand_in.results.record.model_copy(update={"dials": dials})
    assert read_nothing(replace(stand_in, results=replace(stand_in.results, record=record))) is None


def test_no_crossover_is_told_through_a_debate_of_one_round(stand_in: Part, text: str) -> None:
    names = ("debate", "placebo")
    lines = [line for line in text.splitlines() if "cross" in line and line.startswith("- ")]
    assert lines
    assert not [line for line in lines if any(name in line for name in names)]
    dials = [dial.model_copy(update={"value": 2}) for dial in stand_in.results.record.dials]
    record = stand_in.results.record.model_copy(update={"dials": dials})
    told = page([replace(stand_in, results=replace(stand_in.results, record=record))], None) or ""
    assert [line for line in told.splitlines() if "cross" in line and line.startswith("- ") and "debate" in line]


@pytest.mark.parametrize(
    ("right", "tests", "words"), [(36, 10, ["better"]), (30, 10, ["better"]), (20, 10, []), (3, 1, ["worse"])]
)
def test_what_a_baseline_leaves_no_room_for_is_told(stand_in: Part, right: int, tests: int, words: list[str]) -> None:
    """Of 40 tasks; ten tests want p below .005, which nine that differ all one way have and eight have not."""
    table = stand_in.results.table.filter(pl.col("task") < 40).with_columns(
        score=(pl.col("task") < right).cast(pl.Float64)
    )
    part = replace(stand_in, results=replace(stand_in.results, table=table))
    found = list(room_words(part, "self-consistency at 2,000", tests, 0.05))
    if right == 30:
        found, words = list(room_words(part, "self-consistency at 2,000", 50, 0.05)), ["better"]
    assert [line.split(" than ")[0].rsplit(" ", 1)[1] for line in found] == words
    for line in found:
        assert f" than self-consistency at 2,000, which is right in {right} of 40 tasks: " in line
    halves = replace(part, results=replace(part.results, table=table.with_columns(score=pl.lit(0.5))))
    assert not list(room_words(halves, "self-consistency at 2,000", tests, 0.05))


def test_every_difference_and_its_p_follow_from_the_table_alone(home: Path, text: str) -> None:
    table = pl.read_parquet(home / "kept" / PARTS[0] / "results.parquet")
    section = text.partition("at the same ceiling [95 %], p (Holm).")[2].partition("Gain G")[0]
    raw = {}
    for budget in (2000, 9000):
        wide = table.filter(pl.col("budget") == budget).pivot("organisation", index="task", values="score")
        for name in ("single", "debate", "placebo"):
            gaps = wide[name].to_numpy() - wide["self-consistency"].to_numpy()
            won, lost = int((gaps > 0).sum()), int((gaps < 0).sum())
            p = min(1.0, 2 * binom.sf(max(won, lost) - 1, won + lost, 0.5).item()) if won + lost else 1.0
            raw[name, budget] = float(gaps.mean()), p
    order = sorted(raw, key=lambda key: raw[key][1])
    holm_p, worst = {}, 0.0
    for place, key in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - place) * raw[key][1]))
        holm_p[key] = worst
    for name in ("single", "debate", "placebo"):
        row = re.search(rf"\n\| {name} \| (.*) \|\n", section)
        assert row
        for cell, budget in zip(row[1].split(" | "), (2000, 9000), strict=True):
            assert cell.startswith(f"{raw[name, budget][0]:+.3f} [")
            assert cell.endswith(f", {p_words(holm_p[name, budget])}")


def test_the_shelves_are_shown_to_nobody_but_the_experts() -> None:
    scenario = next(cell.scenario for cell in grid_of("shelves-1.5b").cells if cell.organisation == "debate")
    task = scenario.tasks.make(scenario.tasks_seed, 0)
    assert len(task.data["shelves"]) == 3
    assert not any(str(line) in task.question for shelf in task.data["shelves"] for line in str(shelf).splitlines()[1:])
    found = kept("shelves-1.5b")
    if found is not None:
        table = found.results.table.filter(pl.col("organisation") == "self-consistency")
        assert int(table["tokens_in"].sum()) / int(table["calls"].sum()) < 75


def test_debates_and_placebos_of_real_models_read_about_as_many_claims() -> None:
    for part in parts():
        if claims_words(part) is not None:
            table = part.results.table
            due = [
                int(table.filter(pl.col("organisation") == who)["claims_due"].sum()) for who in ("debate", "placebo")
            ]
            assert 0.9 < due[0] / due[1] < 1.1, part.name


def test_a_picture_is_the_same_whenever_it_is_drawn(stand_in: Part) -> None:
    svg = picture(stand_in)
    assert svg is not None
    assert svg.startswith("<svg ")
    assert svg == picture(stand_in)


def test_without_any_part_there_is_no_page(tmp_path: Path) -> None:
    assert page(parts(tmp_path), kept(PILOT)) is None


def test_the_page_says_before_which_power_the_study_had(text: str) -> None:
    rows = [line for line in text.splitlines() if line.startswith(f"| `{PARTS[0]}` | ")]
    assert rows[0].startswith(f"| `{PARTS[0]}` | self-consistency | 60 | 6 | ")
    assert rows[1].startswith(f"| `{PARTS[0]}` | placebo | 60 | 1 | ")
    many, few = ([float(one) for one in row.strip(" |").split(" | ")[4:]] for row in rows[:2])
    assert all(a > b for a, b in zip(many, few, strict=True)), "more tests find less"


def test_the_pilot_speaks_of_parts_with_its_model_alone(stand_in: Part, text: str) -> None:
    assert "the pilot, which had" not in text
    same = copy(stand_in)
    same.made = {**stand_in.made, "model": "qwen2.5-coder-0.5b"}
    told = page([same], kept(PILOT)) or ""
    found = re.search(
        r"\nBy the shares of the pilot, which had 3 tasks, `sums-0\.5b` finds 0\.(\d\d) to 0\.(\d\d)\n"
        r"in each of 12 differences from self-consistency\.\n",
        told,
    )
    assert found
    assert 10 < int(found[1]) <= int(found[2]) < 60
    assert f"| `{PILOT}` | qwen2.5-coder-0.5b | `1d9614638d18024d` | 380 | 37,542 | 0.18 |" in told, (
        "it took tokens too"
    )


def test_another_comparison_and_one_that_is_not_finished_are_not_kept(home: Path, tmp_path: Path) -> None:
    made = home / PARTS[0]
    with pytest.raises(InputError, match="not the comparison sums"):
        keep(PARTS[0], made, tmp_path)
    record = json.loads((made / "comparison.json").read_text())
    assert record["status"] == "finished"
    gone = min((made / "runs").iterdir())
    gone.rename(made / "elsewhere")
    try:
        with pytest.raises(InputError, match="1 runs are not finished"):
            keep(PARTS[0], made, tmp_path, load_grid(home / f"{PARTS[0]}.yaml"))
    finally:
        (made / "elsewhere").rename(gone)


def test_a_table_that_somebody_changed_is_refused(home: Path, tmp_path: Path) -> None:
    for path in (home / "kept" / PARTS[0]).iterdir():
        (tmp_path / PARTS[0]).mkdir(exist_ok=True)
        (tmp_path / PARTS[0] / path.name).write_bytes(path.read_bytes())
    changed = tmp_path / PARTS[0] / "results.parquet"
    pl.read_parquet(changed).with_columns(score=pl.lit(1.0)).write_parquet(changed)
    with pytest.raises(InputError, match="not the one that was kept"):
        kept(PARTS[0], tmp_path)


def test_talking_is_told_beside_the_placebo_and_to_beat_it_is_no_gain_yet(stand_in: Part) -> None:
    """Readers who count are harmed by a placebo, so that a debate beats it which gains nothing over a vote."""
    (one,) = talking(stand_in)
    assert one.budget == 9000
    assert one.row.difference.low > 0
    assert not one.beats_baseline
    said = talk_words([one], "self-consistency")
    assert said.endswith("It is not shown to be ahead of self-consistency, so no gain by talking is shown.")


def talk(one: Talk, budget: int, value: float, p: float, ahead: bool = False) -> Talk:
    return Talk(budget, replace(one.row, difference=Interval(value, value - 0.1, value + 0.1)), p, ahead)


def test_each_sentence_of_talking_stands_where_it_must_and_nowhere_else(stand_in: Part) -> None:
    (one,) = talking(stand_in)
    better, worse, open_ = (talk(one, *each) for each in ((1000, 0.2, 0.01), (2000, -0.2, 0.01), (3000, 0.2, 0.06)))
    gains = talk(one, 4000, 0.3, 0.01, ahead=True)
    nothing = "It is not shown to be ahead of vote, so no gain by talking is shown."
    matters = "What agents read matters, the debate does"
    assert talk_words([better, open_], "vote") == (
        f"{matters} better than its placebo: +0.200 [+0.100, +0.300] at 1,000. {nothing}"
    )
    assert talk_words([gains, better], "vote").endswith(
        "ahead of vote as well at 4,000: there, talking gains, for what it spends."
    )
    assert talk_words([worse], "vote") == f"{matters} worse than its placebo: -0.200 [-0.300, -0.100] at 2,000."
    assert "better at one ceiling, worse at another than its placebo" in talk_words([better, worse], "vote")
    assert talk_words([open_], "vote") == (
        "Whether what is said in the debate matters cannot be told: debate less placebo +0.200 [+0.100, +0.300] "
        "at 3,000."
    )
    ahead_only = talk(one, 3000, 0.2, 0.06, ahead=True)
    assert "gains" not in talk_words([ahead_only], "vote"), "without the placebo nothing is claimed"
    assert talk_words([], "vote") == "Nothing is said of talking: there is no placebo."
    assert talk_words([], "vote", has_placebo=True) == (
        "Nothing is said of talking: no debate that talks can be held against its placebo."
    )


@pytest.mark.model
def test_the_study_is_made_in_a_short_form_by_one_command(tmp_path: Path) -> None:
    asked = ["run", "--short", "--only", "sentiment-smollm2", "--runs", str(tmp_path)]
    assert study_when.main(asked) == 0
    table = pl.read_parquet(tmp_path / "sentiment-smollm2" / "results.parquet")
    assert set(table["organisation"]) == {"self-consistency", "debate", "placebo"}
    assert table.height == 6
    assert (table["calls"] > 0).all()


SEVERAL_BETTER = """
name: several-better
description: Teams under one ceiling.
base:
  tasks: {kind: signal, count: 150}
  agents: {model: {kind: simulated, signal: 0.25, message: 20}}
  topology: independent
  protocol: vote
organisations:
  one: {agents: {count: 1}}
  fifteen: {agents: {count: 15}}
  again: {agents: {count: 15}}
  many: {agents: {count: 151}}
seeds: 1
baseline: one
"""


def test_the_better_ones_are_held_against_the_cheapest_of_them(home: Path, tmp_path: Path) -> None:
    """Against one alone any of them gains; whether the dearer ones gain over the cheapest is another question."""
    file = tmp_path / "s.yaml"
    file.write_text(SEVERAL_BETTER)
    agentsoc.compare(file, tmp_path / "made", workers=1)
    keep(PARTS[1], tmp_path / "made", tmp_path / "kept", load_grid(file))
    (part,) = parts(tmp_path / "kept")
    said = among_better(part)
    assert said.startswith(" Of the better ones fifteen is the cheapest. Less fifteen: again +0.000 [")
    assert re.search(r"; many \+0\.\d+ \[\+0\.\d+, \+0\.\d+\], p [\d.e-]+, for 10\.1 times the tokens", said)
    assert said.endswith(" (many is better).")
    assert f"\n  {said.strip()}\n" in (page([part], None) or "")
    table = part.results.table.with_columns(
        score=pl.when(pl.col("organisation") == "many").then(0.0).otherwise(pl.col("score"))
    )
    of_two = Part(part.name, replace(part.results, table=table), part.made)
    assert among_better(of_two).endswith(" (none is told from it).")
    assert [among_better(one) for one in parts(home / "kept")] == ["", ""], "with several ceilings, or one better"


def test_what_is_said_of_the_tasks_and_prompts_of_a_part_is_so() -> None:
    """Of the orders: without a calculator the example has the answer before its working, with it a call."""
    asked = yaml.safe_load(file_of("orders-0.5b").read_text())["organisations"]
    shown = {
        name: json.loads(one["agents"]["prompts"]["answer"]["examples"][0]["assistant"]) for name, one in asked.items()
    }
    assert set(NOTES) == {"orders-0.5b", "shelves-1.5b", "sums-0.5b"}
    sums = grid_of("sums-0.5b").cells[0].scenario
    questions = [sums.tasks.make(sums.tasks_seed, n).question for n in range(sums.tasks.count or 0)]
    counts = [sum(f" {sign} " in question for question in questions) for sign in "+-*"]
    assert NOTES["sums-0.5b"] == "The tasks are {} sums, {} differences and {} products.".format(*counts)
    assert [list(shown[name]) for name in ("one-alone", "nine-alone")] == [["answer", "why"]] * 2
    assert [list(shown[name]) for name in ("one-with", "three-with")] == [["calls"]] * 2
    assert [bool(asked[name]["agents"].get("tools")) for name in asked] == [False, False, True, True]
