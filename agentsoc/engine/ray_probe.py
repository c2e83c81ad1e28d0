"""This module asks an address, within seconds, whether the head of a Ray cluster answers there and takes our token.

Ray itself tries for many minutes and then says little. One question is enough: ``CheckAlive``, a gRPC call, which is a
few frames of HTTP/2 (RFC 9113). The question's headers are sent literally, and gRPC servers send the status as plain
text, so neither a gRPC library nor Ray is needed, nothing is left running, and no wait is longer than its limit.
"""

from __future__ import annotations

import ipaddress
import os
import queue
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agentsoc.errors import InputError

PROBE_S: Final = 2.0
"""Time in which whoever is at the address has to answer in HTTP/2, the look-up of its name included (seconds)."""
ANSWER_S: Final = 1.5
"""Time from then on to the answer, the loading of the token not included (seconds); a head takes milliseconds."""
NOBODY: Final = "there is no Ray cluster to join"
WAY_ON: Final = (
    "check that HOST:PORT is what `ray start --head` printed and that it runs; "
    "--address local starts Ray here, --hosts 1 without --address needs no Ray"
)
TOKEN_WAY_ON: Final = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH here to the token file of that cluster"

AUTO: Final = "auto"
"""The address that stands for the cluster of the Ray job that this process is part of."""
VARIABLE: Final = "RAY_ADDRESS"
"""Where Ray tells a job's processes the address of their cluster."""

_METHOD: Final = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GO_AWAY = 0, 1, 3, 4, 7
_END_STREAM = _ACK = 1
_END_HEADERS = 4
_HEAD_BYTES: Final = 9
_FRAME_LIMIT: Final = 1 << 14
_OK, _UNIMPLEMENTED, _UNAUTHENTICATED = 0, 12, 16


@dataclass(frozen=True)
class Endpoint:
    """An endpoint says where the head of a cluster should be."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def on_this_machine(self) -> bool:
        """Whether the host is a name or an address of loopback."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def resolved(address: str) -> str:
    """Return the address that is meant: that of the job's cluster for ``auto``, else `address` itself.

    Raises:
        InputError: it is ``auto`` where no job is, or where the variable does not say HOST:PORT.
    """
    if address != AUTO:
        return address
    told = os.environ.get(VARIABLE, "")
    if not told:
        raise InputError(
            f"auto is the cluster of the Ray job that a command runs in, and {VARIABLE} is not set here",
            "engine.address",
            "give HOST:PORT of the head, or send the command into the cluster: ray job submit -- agentsoc run ...",
        )
    try:
        return str(endpoint(told))
    except InputError:
        raise InputError(
            f"auto is what {VARIABLE} says, and that is {told[:100]!r}, not HOST:PORT of a head",
            "engine.address",
            f"Ray sets it inside of a job; elsewhere unset {VARIABLE} and give HOST:PORT",
        ) from None


def endpoint(address: str) -> Endpoint:
    """Return the parts of HOST:PORT.

    Raises:
        InputError: `address` is something else, or names the protocol of Ray's client.
    """
    if "://" in address:
        raise InputError(
            f"addresses like {address.partition('://')[0]}:// are not supported: hosts need a node of the cluster here",
            "engine.address",
            "start agentsoc on a machine of the cluster and give HOST:PORT of the head, 6379 if nothing else was said",
        )
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    brackets = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not re.fullmatch(r"[0-9]{1,5}", port)
        or not 0 < int(port) < 65_536
        or not re.fullmatch(r"[0-9A-Za-z_.:%-]+", bare)
        or (":" in bare) != brackets
    ):
        raise InputError(f"{address!r} is no address", "engine.address", "give HOST:PORT, or local to start Ray here")
    return Endpoint(bare, int(port))


def probe(where: Endpoint, token: Callable[[], str], *, encrypted: bool = False, limit_s: float = PROBE_S) -> None:
    """Return if the head of a Ray cluster answers at `where` and takes the token.

    Args:
        where: the address of the head.
        token: gives what the cluster wants to hear, empty for nothing; only called, and the token only sent, when
            something that speaks HTTP/2 is there.
        encrypted: the cluster uses TLS: only ask whether the port is open.
        limit_s: time until HTTP/2 is spoken; the answer to the question has at most `ANSWER_S` more (seconds).

    Raises:
        InputError: the host has no address, nobody is there, it is not the head of a Ray cluster, or the head refuses
            the token.
    """
    deadline = time.monotonic() + limit_s
    kind, target = _look_up(where, limit_s)
    with socket.socket(kind, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(_left(deadline))
            connection.connect(target)
        except TimeoutError:
            raise _nobody(f"no answer to a connection to {where} within {limit_s:g} s") from None
        except OSError as error:
            raise _nobody(f"{where} cannot be connected to: {error.strerror or error}") from None
        if encrypted:
            return
        try:
            _greet(connection, deadline)
            text = token()
            status = _ask(connection, where, text, time.monotonic() + min(limit_s, ANSWER_S))
        except TimeoutError:
            raise _nobody(f"{where} accepts connections but did not answer as a Ray head in {limit_s:g} s") from None
        except (OSError, EOFError):
            raise _nobody(f"{where} closed the connection that asked whether it is a Ray head") from None
        except ValueError:
            raise _nobody(f"{where} answers, but not as the head of a Ray cluster does") from None
    if status == _UNAUTHENTICATED:
        said = "another token" if text else "a token, and none is set here"
        raise InputError(f"the Ray cluster at {where} wants {said}", "engine.address", TOKEN_WAY_ON)
    if status == _UNIMPLEMENTED:
        raise _nobody(f"{where} answers, but not as the head of a Ray cluster does (another part of Ray, perhaps)")
    if status != _OK:
        raise _nobody(f"the Ray head at {where} answered the question whether it is alive with gRPC status {status}")


def _nobody(what: str) -> InputError:
    return InputError(f"{NOBODY}: {what}", "engine.address", WAY_ON)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _look_up(where: Endpoint, limit_s: float) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the socket address of a host; the system's look-up has no time limit of its own, so a thread makes it."""
    found: queue.SimpleQueue[tuple[socket.AddressFamily, tuple[str, int]] | OSError] = queue.SimpleQueue()

    def look() -> None:
        try:
            # version 4 first: what a head listens on if nothing else was said
            answers = sorted(
                socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM),
                key=lambda answer: answer[0] != socket.AF_INET,
            )
            found.put((answers[0][0], answers[0][4]))  # type: ignore[arg-type]  # both kinds of address are this
        except OSError as error:
            found.put(error)
        except UnicodeError as error:  # a label that is empty or too long
            found.put(OSError(str(error)))

    threading.Thread(target=look, daemon=True, name="ray-look-up").start()
    try:
        answer = found.get(timeout=limit_s)
    except queue.Empty:
        answer = OSError(f"no answer within {limit_s:g} s")
    if isinstance(answer, OSError):
        raise InputError(
            f"the host {where.host!r} has no address: {answer.strerror or answer}", "engine.address", WAY_ON
        )
    return answer


def _greet(connection: socket.socket, deadline: float) -> None:
    """Begin HTTP/2 and wait for the settings that every server of it sends first.

    Raises:
        ValueError: something else is spoken.
        EOFError: the other side hung up.
    """
    connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))
    head = _read(connection, _HEAD_BYTES, deadline)
    if head[3] != _SETTINGS or int.from_bytes(head[:3], "big") > _FRAME_LIMIT:
        raise ValueError("not HTTP/2")
    _read(connection, int.from_bytes(head[:3], "big"), deadline)
    connection.sendall(_frame(_SETTINGS, _ACK, 0))


def _ask(connection: socket.socket, where: Endpoint, token: str, deadline: float) -> int:
    """Return the gRPC status of the answer.

    Raises:
        ValueError: the answer is not one of gRPC.
        EOFError: the other side hung up.
    """
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", _METHOD),
        (":authority", str(where)),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if token:
        headers.append(("authorization", f"Bearer {token}"))
    block = b"".join(_literal(name, value) for name, value in headers)
    empty_message = bytes(5)  # not compressed, of length 0: the question about the head itself
    connection.settimeout(_left(deadline))
    connection.sendall(_frame(_HEADERS, _END_HEADERS, 1, block) + _frame(_DATA, _END_STREAM, 1, empty_message))
    while True:
        head = _read(connection, _HEAD_BYTES, deadline)
        length, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        if length > _FRAME_LIMIT:
            raise ValueError("not HTTP/2")
        content = _read(connection, length, deadline)
        if kind == _GO_AWAY or (kind == _RESET and stream == 1):
            raise EOFError
        if kind == _HEADERS and stream == 1 and flags & _END_STREAM:
            status = re.search(rb"grpc-status[\x01\x02]([0-9]{1,2})", content)
            if status is None:
                raise ValueError("no status")
            return int(status[1])


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _literal(name: str, value: str) -> bytes:
    """Return a header as a literal that is in no table (RFC 7541, 6.2.3), each string behind its length (5.1)."""
    coded = [b"\x10"]
    for text in (name.encode(), value.encode()):
        if len(text) < 127:
            coded.append(bytes([len(text)]))
        else:  # 127 fills the prefix of 7 bits; the rest follows, 7 bits a byte, the low ones first
            rest, length = len(text) - 127, [127]
            while rest >= 128:
                length.append(rest % 128 + 128)
                rest //= 128
            coded.append(bytes([*length, rest]))
        coded.append(text)
    return b"".join(coded)


def _read(connection: socket.socket, length: int, deadline: float) -> bytes:
    content = b""
    while len(content) < length:
        connection.settimeout(_left(deadline))
        more = connection.recv(length - len(content))
        if not more:
            raise EOFError
        content += more
    return content
