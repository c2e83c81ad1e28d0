"""Token counts without the server equal the server's own, on real prompts and on the strangest text."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.backends import modelfile
from agentsoc.backends.bpe import Bpe, byte_characters
from agentsoc.backends.chatml import prompt_counter
from agentsoc.backends.text import without_markers
from agentsoc.contracts.model import Request

Server = Callable[[str, str], int]


@pytest.fixture(scope="module")
def server_count() -> Iterator[Server]:
    """Ask a llama.cpp server how many tokens a prompt has; it renders the chat template and tokenises."""
    import os
    from urllib.parse import urlsplit

    from tests.contract.llama_server import llama_server

    with llama_server() as (base_url, key_variable):
        address = urlsplit(base_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        headers = {"Authorization": f"Bearer {os.environ[key_variable]}", "Content-Type": "application/json"}

        def count(system: str, user: str) -> int:
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            connection.request("POST", "/v1/chat/completions/input_tokens", json.dumps({"messages": messages}), headers)
            return int(json.loads(connection.getresponse().read())["input_tokens"])

        yield count
        connection.close()


ODD = (
    "the| pool|don't|'S|  |\n\n|\t|12| 3.5|é|日本語|😀|²|Ⅷ|१|a\u0301|_|--|(x)|\x00|\x04|\x1c|\x85|\xa0|\u2003|\u3000|½"
)
WORDS = st.sampled_from([*ODD.split("|"), "مرحبا", "aaaaaaaaaaaa", "<|im_end|>", "</s>", "<file_sep>", "[INST]"])
TEXT = st.one_of(
    st.text(), st.lists(WORDS, max_size=12).map("".join), st.text(alphabet=st.characters(max_codepoint=127))
)


@pytest.mark.model
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(system=TEXT, user=TEXT)
def test_the_count_of_any_prompt_is_the_servers(server_count: Server, system: str, user: str) -> None:
    count = prompt_counter(modelfile.find())
    assert count is not None
    assert count(Request.of(system, user, 1, 0.0, 1)) == server_count(without_markers(system), without_markers(user))


@pytest.mark.model
def test_long_and_ordinary_prompts_count_as_on_the_server(server_count: Server) -> None:
    count = prompt_counter(modelfile.find())
    assert count is not None
    others = "\n".join(f"#{i} agent {i}: {'positive' if i % 3 else 'negative'} - it's fine, I'd say" for i in range(40))
    for user in (others, "a" * 3_000, "x1" * 1_000, "  \n" * 500, "Ω≈ç√∫" * 200):
        assert count(Request.of("You are careful.", user, 1, 0.0, 1)) == server_count("You are careful.", user)


def vocabulary(*merges: str) -> Bpe:
    """Return a vocabulary of all bytes and these merges."""
    return Bpe([character.encode() for character in byte_characters()], [merge.encode() for merge in merges])


def test_the_merge_of_lowest_rank_comes_first_and_the_leftmost_of_equals() -> None:
    assert vocabulary("b c", "a b", "ab c").count("abc") == 2  # a, bc
    assert vocabulary("a b", "b c", "ab c").count("abc") == 1
    assert vocabulary("a a").count("aaa") == 2
    assert vocabulary("a a", "aa a").count("aaaa") == 2  # aa, aa: a new pair is never ranked before its parts
    assert vocabulary().count("größer") == 8


def test_pieces_are_not_merged_across_their_borders() -> None:
    assert vocabulary("1 2").count("12") == 2  # every digit stands alone
    assert vocabulary("Ġ a").count(" a") == 1
    assert vocabulary("Ġ Ġ").count("  a") == 3  # the last space belongs to the word
    assert vocabulary("Ġ Ġ").count("  1") == 2  # but not to a digit
    assert vocabulary("' s", "t '").count("it's") == 3


def test_a_byte_without_a_token_counts_nothing() -> None:
    symbols = [c.encode() for c, byte in byte_characters().items() if byte != 4]
    assert Bpe(symbols, []).count("a\x04b") == 2


def test_the_byte_alphabet_covers_each_byte_once() -> None:
    table = byte_characters()
    assert sorted(table.values()) == list(range(256))
    assert table["Ġ"] == 0x20
    assert table["Ċ"] == 0x0A
