"""An address where no Ray head answers is named within seconds, whatever is there instead."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.ray_probe import ANSWER_S, PROBE_S, Endpoint, endpoint, probe, resolved
from agentsoc.errors import InputError

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 0.5


def silent_token() -> str:
    raise AssertionError("the token was asked for although nothing there speaks HTTP/2")


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[Endpoint]:
    """Serve every connection with `answer`, which may leave it open."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_ones.append(connection)
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for connection in open_ones:
            connection.close()


@contextlib.contextmanager
def full() -> Iterator[Endpoint]:
    """A port whose queue is full: what a connection to it sends is dropped, as by a firewall."""
    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield Endpoint("127.0.0.1", listener.getsockname()[1])


@contextlib.contextmanager
def closed() -> Iterator[Endpoint]:
    with socket.socket() as taken:  # bound and not listening: nobody else can get the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield Endpoint("127.0.0.1", taken.getsockname()[1])


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def head(status: bytes | None, asked: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """Answer as gRPC servers do: settings, and the status in the headers that end the stream."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(frame(4, 0, 0) + frame(4, 1, 0) + frame(8, 0, 0, bytes(4)))
        received = b""
        while b"application/grpc" not in received:
            received += connection.recv(65_536)
        if asked is not None:
            asked.append(received)
        if status is None:
            connection.sendall(frame(7, 0, 0, bytes(8)))  # goes away
        else:
            trailers = b"@\x0bgrpc-status" + bytes([len(status)]) + status
            connection.sendall(frame(1, 4, 1, b"\x88") + frame(0, 0, 1, bytes(5)) + frame(1, 5, 1, trailers))

    return answer


def says(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def drips(connection: socket.socket) -> None:
    for _ in range(50):
        connection.sendall(b"\0")
        time.sleep(0.1)


THERE: dict[str, tuple[Any, str]] = {
    "a closed port": (closed, "cannot be connected to: Connection refused"),
    "a port that drops everything": (full, "no answer to a connection"),
    "a port that says nothing": (lambda: server(lambda _: None), "did not answer as a Ray head"),
    "a port that says too little, slowly": (lambda: server(drips), "did not answer as a Ray head"),
    "a port that hangs up": (lambda: server(lambda connection: connection.shutdown(socket.SHUT_RDWR)), "closed the"),
    "a web server": (lambda: server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "not as the head of a Ray cluster"),
    "a login": (lambda: server(says(b"SSH-2.0-OpenSSH_9.6\r\n")), "not as the head of a Ray cluster"),
}


@pytest.mark.parametrize("name", THERE)
def test_what_is_no_ray_head_is_named_in_time_and_never_told_the_token(name: str) -> None:
    there, message = THERE[name]
    with there() as where:
        begun = time.monotonic()
        with pytest.raises(InputError, match=message) as raised:
            probe(where, silent_token, limit_s=LIMIT_S)
        assert time.monotonic() - begun < LIMIT_S + 0.5
    assert str(where) in str(raised.value)
    assert "ray start --head" in str(raised.value)


ANSWERS: dict[str, tuple[bytes | None, str]] = {
    "a head that wants another token": (b"16", "wants another token"),
    "another part of Ray": (b"12", "another part of Ray, perhaps"),
    "a head in trouble": (b"14", "gRPC status 14"),
    "a head that goes away": (None, "closed the connection"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_head_that_refuses_is_named(name: str) -> None:
    status, message = ANSWERS[name]
    with server(head(status)) as where, pytest.raises(InputError, match=message):
        probe(where, lambda: "secret", limit_s=LIMIT_S)


def test_a_head_that_wants_a_token_where_none_is_set_is_named() -> None:
    with server(head(b"16")) as where, pytest.raises(InputError, match="none is set here") as raised:
        probe(where, str, limit_s=LIMIT_S)
    assert "RAY_AUTH_TOKEN_PATH" in str(raised.value)


@pytest.mark.parametrize("length", [1, 119, 120, 121, 400, 20_000])
def test_a_head_that_answers_is_told_the_whole_token(length: int) -> None:
    asked: list[bytes] = []
    token = "t" * length
    with server(head(b"0", asked)) as where:
        probe(where, lambda: token)
    assert b"authorization" in asked[0]
    if length < 1_000:  # a longer one comes in several pieces
        assert f"Bearer {token}".encode() in asked[0]


def test_a_head_that_accepts_the_question_and_then_says_nothing_is_named_in_time() -> None:
    begun = time.monotonic()
    with (
        server(says(frame(4, 0, 0))) as where,
        pytest.raises(InputError, match="did not answer as a Ray head"),
    ):
        probe(where, str, limit_s=LIMIT_S)
    assert time.monotonic() - begun < LIMIT_S + 0.5


def test_with_tls_only_the_port_is_tried() -> None:
    with server(lambda _: None) as where:
        probe(where, silent_token, encrypted=True)
    with closed() as where, pytest.raises(InputError, match="refused"):
        probe(where, silent_token, encrypted=True)


def test_a_host_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError, match=r"'no-such-host' has no address: Name or service not known"):
        probe(Endpoint("no-such-host", 6379), silent_token)


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def late(*_: Any, **__: Any) -> Any:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", late)
    begun = time.monotonic()
    with pytest.raises(InputError, match="has no address: no answer within"):
        probe(Endpoint("slow-host", 6379), silent_token, limit_s=LIMIT_S)
    assert time.monotonic() - begun < LIMIT_S + 0.5
    released.set()


@pytest.mark.parametrize(
    ("address", "host", "port", "near"),
    [
        ("127.0.0.1:6379", "127.0.0.1", 6379, True),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:6379", "::1", 6379, True),
        ("head.example.org:65535", "head.example.org", 65_535, False),
        ("203.0.113.7:6379", "203.0.113.7", 6379, False),
        ("localhost.example.org:6379", "localhost.example.org", 6379, False),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, host: str, port: int, near: bool) -> None:
    where = endpoint(address)
    assert (where.host, where.port, where.on_this_machine, str(where)) == (host, port, near, address)


@pytest.mark.parametrize(
    "address",
    ["auto", "", ":6379", "head", "head:", "head:0", "head:65536", "head:x", "::1:6379", "[head]:1", "a b:1", "h/x:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no address"):
        endpoint(address)


def test_the_protocol_of_rays_client_is_refused_with_the_way_on() -> None:
    with pytest.raises(InputError, match="ray:// are not supported") as raised:
        endpoint("ray://127.0.0.1:10001")
    assert "HOST:PORT of the head" in str(raised.value)


@pytest.mark.parametrize(
    "there",
    [
        closed,
        full,
        lambda: server(lambda _: None),
        lambda: server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        lambda: server(says(frame(4, 0, 0))),
    ],
)
def test_the_command_says_within_seconds_that_nobody_is_there_and_leaves_nothing(there: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "agentsoc.cli.main", "run", "scenarios/topology-star.yaml", "--hosts", "2"]
    out = tmp_path / "run"
    begun = time.monotonic()
    with there() as where:
        done = subprocess.run(
            [*command, "--address", str(where), "--out", str(out)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert time.monotonic() - begun < 12  # 0.5 to 3.6 s; what it takes beyond the probe is the start of Python
    assert PROBE_S + ANSWER_S < 4
    assert done.returncode == 2
    assert "there is no Ray cluster to join: " in done.stderr
    assert str(where) in done.stderr
    assert not out.exists()


def test_auto_is_the_cluster_of_the_job_and_nothing_where_no_job_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert resolved("auto") == "10.0.0.1:6379"
    assert resolved("127.0.0.1:1") == "127.0.0.1:1"  # what was named is not replaced by the variable
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(InputError, match="RAY_ADDRESS is not set here") as raised:
        resolved("auto")
    assert "ray job submit" in str(raised.value)


@pytest.mark.parametrize("told", ["http://127.0.0.1:8265", "auto", "local", "ray://h:10001", "h"])
def test_auto_where_the_variable_names_something_else_says_what(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", told)
    with pytest.raises(InputError, match="not HOST:PORT of a head") as raised:
        resolved("auto")
    assert repr(told) in str(raised.value)
