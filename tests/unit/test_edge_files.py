"""Edge lists as people have them: the graph that is meant, and what was assumed of it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentsoc.cli import main
from agentsoc.errors import TopologyError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.society.topologies import Custom
from agentsoc.society.topologies.edges import EdgeList, parse_edges
from tests.pace import at_most

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "edges"
CHAIN = [(0, 1), (1, 2)]
GRAPHML = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="{}">{}</graph></graphml>'
NODES = "".join(f'<node id="{name}"/>' for name in ("n0", "n1", "n2"))
EDGES = '<edge source="n0" target="n1"/><edge source="n1" target="n2"/>'


def pairs(edges: EdgeList) -> list[tuple[int, int]]:
    return list(zip(edges.speakers.tolist(), edges.hearers.tolist(), strict=True))


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


FORMS: list[tuple[str, str]] = [
    ("e.csv", "0;1\n1;2\n"),
    ("e.csv", "source;target;weight\n0;1;2.5\n1;2;1\n"),
    ("e.csv", "0\t1\n1\t2\n"),
    ("e.csv", "0 1\n1 2\n"),
    ("e.csv", "\ufefffrom node,to node\r\n0,1\r\n1,2\r\n"),
    ("e.csv", "0,1,5\n1,2,7\n"),
    ("e.tsv", "a\tb\n0\t1\n1\t2\n"),
    ("e.txt", "% a comment\n# FromNodeId\tToNodeId\n0\t1\n1\t2\n"),
    ("e.txt", "0 1 0.5\n1 2 1e-3\n"),
    ("e.edgelist", "0 1 {'weight': 3}\n1 2 {}\n"),
    ("e.jsonl", '{"source": 0, "target": 1, "w": 3}\n{"src": 1, "dst": 2}\n'),
    ("e.json", "[[0, 1], [1, 2]]"),
    ("e.json", '{"0": [1], "1": [2], "2": []}'),
    ("e.json", '{"directed": true, "nodes": [{"id": 0}, {"id": 1}, {"id": 2}], '
               '"links": [{"source": 0, "target": 1}, {"source": 1, "target": 2}]}'),
    ("e.txt", "1 2\n2 3\n"),
    ("e.txt", "7 12\n12 99999999999\n"),
    ("e.txt", "zoe adam\nadam bob\n"),
    ("e.csv", "source,target\nzoe,adam\nadam,Bob B.\n"),
    ("e.graphml", GRAPHML.format("directed", NODES + EDGES)),
    ("e.gml", 'graph [ directed 1 node [ id 5 label "n0" ] node [ id 6 label "n1" ] node [ id 9 label "n2" ] '
              "edge [ source 5 target 6 ] edge [ source 6 target 9 value 3 ] ]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), FORMS, ids=range(len(FORMS)))
def test_each_form_is_the_chain_that_it_means(base: Path, name: str, text: str) -> None:
    (base / name).write_text(text, encoding="utf-8", newline="")
    topology = Custom(file=name)
    assert topology.size(None) == 3
    assert pairs(topology.edge_list(3)) == pairs(topology.edge_list()) == CHAIN
    assert sorted(topology.wiring(3, np.random.default_rng(0)).graph().edges()) == CHAIN


@pytest.mark.skipif(not SHARED.exists(), reason=f"the cases are not at {SHARED}")
def test_every_case_is_read() -> None:
    token = BASE_DIR.set(SHARED)
    try:
        found = {file.name: pairs(Custom(file=file.name).edge_list()) for file in sorted(SHARED.iterdir())}
    finally:
        BASE_DIR.reset(token)
    circle, both = [*CHAIN, (2, 0)], [(0, 1), (1, 0), (1, 2), (2, 1)]
    others = {
        "both.txt": both,
        "dup.txt": both[:3],
        "g.graphml": [(0, 1)],
        "ids_from_1.txt": circle,
        "snap_tab.txt": circle,
    }
    assert found == dict.fromkeys(found, CHAIN) | others
    assert len(found) >= 15


def test_compacted_ids_are_said_and_others_are_not() -> None:
    assert parse_edges("0 1\n1 2\n", "e.txt").notes == ()
    one = parse_edges("1 2\n2 3\n3 1\n", "e.txt")
    assert one.notes == ("ids of e.txt are compacted: agent 0 is 1, 1 is 2, 2 is 3",)
    assert one.ids == ("1", "2", "3")
    names = parse_edges("".join(f"n{i} n{i + 1}\n" for i in range(9)), "e.txt")
    assert names.notes == ("ids of e.txt are compacted: agent 0 is n0, 1 is n1, 2 is n2, 3 is n3, 4 is n4, ... of 10",)


def test_numbers_keep_their_meaning_where_the_scenario_says_who_there_is() -> None:
    assert pairs(parse_edges("1 2\n2 3\n", "e.txt", 4)) == [(1, 2), (2, 3)]  # agent 0 has no edges, as was written
    assert pairs(parse_edges("1 2\n2 3\n", "e.txt", 3)) == CHAIN
    assert pairs(parse_edges("1 2\n2 3\n", "e.txt", as_written=True)) == [(1, 2), (2, 3)]


def test_repeated_edges_loops_and_weights_are_told() -> None:
    found = parse_edges("0 1 2\n1 0 2\n0 1 2\n1 2 1\n2 2 1\n", "e.txt")
    assert pairs(found) == [(0, 1), (1, 0), (1, 2)]
    assert found.notes == (
        "1 edges of an agent to itself are left out",
        "1 edges are listed again, and count once",
        "5 edges have a weight or other data, which is not used",
    )
    assert pairs(parse_edges("0 1\n1 0\n1 2\n", "e.txt", both_ways=True)) == CHAIN
    assert found.lines is not None
    assert found.lines.tolist() == [1, 2, 4]


def test_edges_of_an_undirected_graph_hold_both_ways(base: Path) -> None:
    (base / "e.graphml").write_text(GRAPHML.format("undirected", NODES + EDGES))
    topology = Custom(file="e.graphml")
    assert topology.wiring(3, np.random.default_rng(0)).n_edges == 4
    assert "hold both ways" in topology.remarks(3)[-1]


def test_agents_are_named_by_their_ids_in_the_file(base: Path) -> None:
    (base / "e.txt").write_text("zoe adam\nadam bob\n")
    topology = Custom(file="e.txt", ends_in="bob", roles={"lead": ("zoe",)})
    wiring = topology.wiring(3, np.random.default_rng(0))
    assert (topology.root(3), wiring.root, wiring.role_of(0)) == (2, 2, "lead")
    (base / "e.txt").write_text("1 2\n2 3\n")
    assert Custom(file="e.txt", ends_in="3").root(3) == 2
    with pytest.raises(TopologyError, match=r'could be meant by its number or by its id(.|\n)*ends_in: "1"'):
        Custom(file="e.txt", ends_in=1).root(3)
    with pytest.raises(TopologyError, match="calls nobody '9'"):
        Custom(file="e.txt", ends_in="9").root(3)
    (base / "e.txt").write_text("0 1\n1 2\n")
    assert Custom(file="e.txt", ends_in="2").root(3) == Custom(file="e.txt", ends_in=2).root(3) == 2


def test_nodes_without_edges_are_agents(base: Path) -> None:
    (base / "e.graphml").write_text(GRAPHML.format("directed", NODES + '<edge source="n0" target="n1"/>'))
    with pytest.raises(TopologyError, match="falls into 2 parts"):
        Custom(file="e.graphml").wiring(Custom(file="e.graphml").size(None), np.random.default_rng(0))


BOMB = '<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{below};" * 10}">' for below, name in zip("abcdefghi", "bcdefghij", strict=True)
) + "]>" + GRAPHML.format("directed", '<node id="&j;"/>')  # fmt: skip
HOSTILE: dict[str, tuple[str, str, str]] = {
    "entity bomb": ("e.graphml", BOMB, "defines entities"),
    "file entity": (
        "e.graphml",
        '<!doctype g [<!ENTITY x SYSTEM "file:///etc/passwd">]><graphml>&x;</graphml>',
        "entities",
    ),
    "no xml": ("e.graphml", "<graphml", "no GRAPHML that networkx reads"),
    "hyperedge": ("e.graphml", GRAPHML.format("directed", NODES + "<hyperedge/>"), "networkx"),
    "deep gml": ("e.gml", "graph [ " + "a [ " * 100_000, "no GML that networkx reads"),
    "deep xml": ("e.graphml", "<a>" * 200_000, "no GRAPHML"),
    "deep json": ("e.json", "[" * 200_000, "holds no list of edges"),
    "numbers and names": ("e.txt", "0 1\n1 2\nbob 2\n", "e.txt:3: this line is no edge"),
    "a node of blanks": ("e.graphml", GRAPHML.format("directed", '<node id=" "/>'), "a node is called"),
    "half a surrogate": ("e.json", '[["\\ud800", "a"]]', "no edge"),
    "too large": ("e.gml", " " * 20_000_001, "the limit is 20,000,000"),
    "json of nothing": ("e.json", "7", "holds no list of edges"),
    "node without id": ("e.json", '{"nodes": [{}], "links": []}', "a node without an id"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs_are_refused_fast(case: str) -> None:
    name, text, says = HOSTILE[case]
    with at_most(100), pytest.raises(TopologyError) as caught:
        parse_edges(text, name)
    assert says in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


def test_check_prints_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.txt").write_text("1 2 9\n2 3 9\n3 1 9\n")
    (tmp_path / "s.yaml").write_text(
        "name: x\ntasks: {kind: comparison, count: 2}\nagents: {model: scripted}\n"
        "topology: {kind: custom, file: e.txt}\nprotocol: vote\n"
    )
    assert main.main(["check", str(tmp_path / "s.yaml")]) == 0
    told = capsys.readouterr().out
    assert "ids of e.txt are compacted: agent 0 is 1, 1 is 2, 2 is 3" in told
    assert "3 edges have a weight or other data, which is not used" in told
    (tmp_path / "e.txt").write_text("0 1\n1 2\n2 0\n")
    assert main.main(["check", str(tmp_path / "s.yaml")]) == 0
    assert "compacted" not in capsys.readouterr().out
