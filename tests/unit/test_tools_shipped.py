"""The tools that come with agentsoc: right where they answer, bounded and told in a line where they do not."""

from __future__ import annotations

import asyncio
import json
import re
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.contracts.function_tool import function_tool
from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import TOOLS, Tool, ToolError
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import ConsentNeededError, InputError
from agentsoc.reading.by_schema import schema_fault
from agentsoc.scenario.files import BASE_DIR
from agentsoc.tools.calculator import Calculator, value_text, worked_out
from agentsoc.tools.search import Index, Search
from tests.societies import built


def asked(tool: Tool, **arguments: Any) -> str:
    async def ask() -> str:
        session = tool.open()
        await session.start()
        try:
            [spec] = session.specs()
            assert schema_fault(spec.schema) is None
            return await session.call(spec.name, arguments, 20.0)
        finally:
            await session.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * (3 + 4.5)", "90"),
        ("0.1 + 0.2", "0.3"),
        ("2 / 3", "0.666666666667"),
        ("2 ** 100", str(2**100)),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("round(2 / 7, 3)", "0.286"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("sqrt(2)", "1.41421356237"),
        ("3 × 4 ÷ 2", "6"),
        ("2^10", "1024"),
        ("factorial(20)", "2432902008176640000"),
        ("1e3 + 1", "1001"),
        ("abs(-3/8)", "0.375"),
        ("10**20 / 3", "3.33333333333e+19"),
    ],
)
def test_the_calculator_is_exact_where_numbers_allow_it(expression: str, value: str) -> None:
    assert asked(Calculator(), expression=expression) == value


@given(
    st.recursive(
        st.sampled_from(["0", "7", "96", "10", "2.5", "True", "1" * 400]),
        lambda parts: st.tuples(parts, st.sampled_from("+-*/%"), parts).map(lambda each: f"({' '.join(each)})"),
        max_leaves=12,
    )
)
def test_whole_numbers_are_worked_out_as_fractions_would_be(expression: str) -> None:
    def found() -> str:
        try:
            return value_text(worked_out(expression))
        except ToolError as error:
            return str(error)

    quick = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentsoc.tools.calculator._whole", lambda node: None)
        assert found() == quick


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1/0",
        "9**9**9",
        "2**99999",
        "__import__('os')",
        "a.b",
        "[1]*9",
        "'a'*9",
        "x := 2",
        "lambda: 1",
        "1 if 1 else 2",
        "(" * 200,
        "factorial(1e9)",
        "exp(1e9)",
        "True",
        "10**1000 * 10**1000 * 10**1000",
        "round()",
        "sqrt(-1)",
        "open('x')",
        "1e999",
        "1;2",
        "f'{1}'",
    ],
)
def test_what_is_no_bounded_arithmetic_is_told_and_quickly(expression: str) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError) as caught:
        asked(Calculator(), expression=expression)
    assert caught.value.kind == "error"
    assert time.monotonic() - began < 1


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    BASE_DIR.set(tmp_path)
    rows = [{"city": "Bonn", "people": 330, "seat": True}, {"city": "Ulm", "people": 126, "seat": False}]
    (tmp_path / "t.csv").write_text("city,people,seat\nBonn,330,true\nUlm,126,false\n")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("The heron fishes.\n\nIt stands in shallow water.")
    (tmp_path / "texts" / "b.md").write_text("Herons nest in trees near water, water, water.")
    (tmp_path / "texts.jsonl").write_text('{"title": "One", "text": "red kite"}\n{"text": "blue tit"}\n')
    return tmp_path


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_is_looked_up_alike_in_every_format(name: str) -> None:
    tool = TOOLS.parse({"kind": "table", "file": name, "rows": 1})
    assert tool.files() == (name,)
    assert "city, people, seat" in tool.describe()
    assert json.loads(asked(tool, where={"city": "ULM"}, columns=["people"])) in ({"people": 126}, {"people": "126"})
    assert asked(tool, where={"people": 330}).startswith('{"city": "Bonn"')
    assert asked(tool, where={"city": "Rome"}) == "no row"
    assert asked(tool, where={}).endswith("and 1 more rows")


@pytest.mark.parametrize(
    ("name", "content"), [("x.csv", ""), ("x.jsonl", "[1]\n"), ("x.jsonl", "{"), ("x.parquet", "no"), ("x.txt", "a")]
)
def test_a_table_that_cannot_be_read_is_named(beside: Path, name: str, content: str) -> None:
    (beside / name).write_text(content)
    with pytest.raises(InputError):
        TOOLS.parse({"kind": "table", "file": name}).describe()


@pytest.mark.usefixtures("beside")
def test_search_ranks_by_the_words_of_the_query() -> None:
    found = asked(Search(folder="texts", results=2), query="heron in water")
    assert found.startswith("texts/a.txt\n")
    assert "It stands in shallow water." in found or "The heron fishes." in found
    assert asked(Search(file="texts.jsonl"), query="KITE") == "One\nred kite"
    assert asked(Search(file="texts.jsonl"), query="eagle") == "nothing found"
    assert Search(folder="texts").files() == ("texts/a.txt", "texts/b.md")
    with pytest.raises(InputError):
        Search(folder="../..").files()


def test_a_folder_with_too_much_in_it_is_refused_before_it_is_read(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentsoc.engine.ready import ready_society

    def ready(folder: str) -> None:
        ready_society(
            built(
                tasks={"kind": "coin", "count": 1},
                agents={"count": 1, "model": "scripted", "tools": [{"kind": "search", "folder": folder}]},
                topology="single",
                protocol="vote",
            )
        )

    ready("texts")
    with pytest.raises(InputError, match=r"agents\.tools: a tool cannot be used: gone: there is no such file"):
        ready("gone")
    many = beside / "many"
    many.mkdir()
    for number in range(6):
        (many / f"{number}.txt").write_text("x" * 100)
    (many / "other.bin").write_text("y" * 1000)  # not searched, so it does not count
    monkeypatch.setattr("agentsoc.tools.search.LIMIT_BYTES", 600)
    monkeypatch.setattr("agentsoc.scenario.files.folder_files.__kwdefaults__", {"limit_bytes": 600})
    ready("many")
    assert len(Search(folder="many")._loaded[0]) == 6
    (many / "2.txt").write_text("x" * 101)
    with pytest.raises(InputError, match="many: the files of this folder have 601 bytes together, the limit is 600"):
        ready("many")
    monkeypatch.setattr("agentsoc.scenario.files.FOLDER_MAX", 5)
    with pytest.raises(InputError, match="holds 6 files that would be read, the limit is 5"):
        ready("many")
    monkeypatch.setattr("agentsoc.scenario.files._ENTRIES_MAX", 3)
    with pytest.raises(InputError, match="more than 3 files and folders"):
        ready("many")


def test_a_file_of_a_folder_that_grows_is_not_read_beyond_the_limit(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentsoc.tools.search.LIMIT_BYTES", 20)
    with pytest.raises(InputError, match="the limit is"):
        _ = Search(folder="texts")._loaded


def test_bm25_is_the_formula_of_its_paper() -> None:
    import math

    index = Index(["a b", "a a c", "d"])
    lengths, mean = [2, 3, 1], 2.0
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    expected = {at: idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * lengths[at] / mean)) for at, tf in ((0, 1), (1, 2))}
    assert index.scores("a") == pytest.approx(expected)


def test_a_function_in_a_loose_file_becomes_a_tool(tmp_path: Path) -> None:
    from agentsoc.scenario.code import forget_code

    page = (Path(__file__).parents[2] / "docs" / "tools.md").read_text()
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "function_tool" in block]
    (tmp_path / "tools.py").write_text(code)
    calls = [[{"tool": "word-length", "arguments": {"word": "lake"}}]]
    agents = {"count": 1, "model": {"kind": "scripted", "uses_tools": calls}, "tools": ["word-length"]}
    blocks = {"tasks": {"kind": "arithmetic", "count": 1}, "agents": agents, "topology": "single", "protocol": "vote"}
    (tmp_path / "s.yaml").write_text(json.dumps({"name": "loose", **blocks}))
    try:
        done = run(tmp_path / "s.yaml", tmp_path / "run", code_paths=[tmp_path / "tools.py"])
        assert [event.text for event in done.events() if event.kind == "tool_call"] == ["4"]
        assert replay(tmp_path / "run", allow_code=[tmp_path / "tools.py"]).digest == done.manifest.digest
    finally:
        forget_code()


def test_a_function_becomes_a_tool_by_its_types_and_docstring(tmp_path: Path) -> None:
    def way(start: str, steps: int = 2) -> dict[str, Any]:
        """Says where one gets
        from a start.

        More about it.
        """
        return {"to": start * steps}

    kind = function_tool(way, "pure")
    try:
        tool = TOOLS.parse("way")
        assert tool.describe() == "Says where one gets from a start."
        assert tool.arguments()["required"] == ["start"]
        assert tool.effect == "pure"
        assert asked(tool, start="ab") == '{"to":"abab"}'
        model = {"kind": "scripted", "uses_tools": [[{"tool": "way", "arguments": {"start": "x", "steps": "y"}}]]}
        blocks = {
            "tasks": {"kind": "coin", "count": 1},
            "agents": {"count": 1, "model": model, "tools": ["way"]},
            "topology": "single",
            "protocol": "vote",
        }
        done = run(built(**blocks), tmp_path / "run")
        assert next(e.text or "" for e in done.events() if e.kind == "tool_call").startswith("bad_arguments: steps: ")
    finally:
        Slot.forget_loose()
    assert kind.__doc__ is not None

    def untyped(x):  # type: ignore[no-untyped-def]
        return x

    with pytest.raises(InputError, match="has no type"):
        function_tool(untyped, "pure")


needs_sandbox = pytest.mark.skipif(find_spec("pydantic_monty") is None, reason="needs the extra sandbox")
needs_mcp = pytest.mark.skipif(find_spec("mcp") is None, reason="needs the extra mcp")
SCENARIOS = Path(__file__).parents[2] / "scenarios"


def market(server: str, **changes: Any) -> dict[str, Any]:
    calls = [
        [{"tool": "price", "arguments": {"item": "honey"}}],
        [{"tool": "total", "arguments": {"items": ["apple"]}}],
    ]
    return {
        "tasks": {"kind": "coin", "count": 1},
        "agents": {
            "count": 2,
            "model": {"kind": "scripted", "uses_tools": calls},
            "tools": [{"kind": "mcp", "file": server, **changes}],
        },
        "topology": "independent",
        "protocol": "vote",
    }


@needs_mcp
def test_a_server_is_started_only_where_that_is_allowed_and_its_calls_are_journaled(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text((SCENARIOS / "tools-mcp-server.py").read_text())
    BASE_DIR.set(tmp_path)
    scenario = built(**market("server.py", trust_hints=True))
    with pytest.raises(ConsentNeededError, match=r"python server\.py"):
        run(scenario, tmp_path / "no")
    assert not (tmp_path / "no").exists()
    done = run(scenario, tmp_path / "run", consent=True)
    assert [event.text for event in done.events() if event.kind == "tool_call"] == ["9", "9", "3", "3"]
    assert [spec["effect"] for spec in done.manifest.toolsets[0]] == ["read", "read"]
    assert replay(tmp_path / "run").digest == done.manifest.digest
    assert done.transcript(0, 1)[2].same


@needs_mcp
def test_a_server_that_dies_fails_its_calls_and_not_the_run(tmp_path: Path) -> None:
    text = (SCENARIOS / "tools-mcp-server.py").read_text()
    text = text.replace("    return str(sum(", "    import os\n    os._exit(1)\n    return str(sum(")
    (tmp_path / "server.py").write_text(text)
    BASE_DIR.set(tmp_path)
    done = run(built(**market("server.py")), tmp_path / "run", consent=True)
    texts = [event.text or "" for event in done.events() if event.kind == "tool_call"]
    assert texts[:2] == ["9", "9"]
    assert all(text.startswith("error: ") for text in texts[2:])
    assert done.manifest.totals.answered == 1


@needs_mcp
@pytest.mark.parametrize("allow", [["nothing*"], ["price"]])
def test_tools_of_a_server_are_those_that_are_allowed(tmp_path: Path, allow: list[str]) -> None:
    (tmp_path / "server.py").write_text((SCENARIOS / "tools-mcp-server.py").read_text())
    BASE_DIR.set(tmp_path)
    scenario = built(**market("server.py", allow=allow))
    if allow == ["nothing*"]:
        with pytest.raises(InputError, match="no tool that matches"):
            run(scenario, tmp_path / "run", consent=True)
    else:
        done = run(scenario, tmp_path / "run", consent=True)
        texts = [event.text or "" for event in done.events() if event.kind == "tool_call"]
        assert [text.partition(":")[0] for text in texts] == ["9", "9", "unknown_tool", "unknown_tool"]


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 + 1", "2"),
        ("print('a')\nx = [i * i for i in range(4)]\nsum(x)", "a\n14"),
        ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nf(15)", "610"),
        ("import math\nmath.sqrt(16)", "4.0"),
        ("x = 1", "(nothing printed)"),
        ("import time\ntime.sleep(1000)", "(nothing printed)"),
        ("import random\nrandom.random() == random.random()", "False"),
    ],
)
def test_programs_run_in_the_sandbox(code: str, said: str) -> None:
    assert asked(TOOLS.parse("python"), code=code) == said


@needs_sandbox
def test_programs_give_the_same_each_time() -> None:
    code = "import random, datetime\n(random.random(), str(datetime.datetime.now()))"
    assert asked(TOOLS.parse("python"), code=code) == asked(TOOLS.parse("python"), code=code)
