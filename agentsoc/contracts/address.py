"""This module normalises the addresses that requests go to and tells which of them certainly stay on this machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = re.compile(
    r"https?://(?P<host>localhost|[0-9.]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[!-\[\]-~]*)?", re.IGNORECASE | re.ASCII
)
"""The whole of an address that can be taken for loopback: no user, no escape, nothing that parsers read in two ways."""
_PLAIN: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.IGNORECASE | re.ASCII)
"""Printable ASCII without what no address holds unescaped: space, quotes, angle brackets, backslash, caret, braces."""
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Destination:
    """Where a model sends prompts, and the environment variable whose value goes with them.

    Two are equal when address and variable are: that pair is what a person agrees to.
    """

    address: str
    """The address as `normal` writes it, or words where it is not known before the call."""
    variable: str | None = None
    """Name of the environment variable; None when nothing of the environment is sent."""
    model: str = field(default="", compare=False)
    """The model whose prompts go there, as the question to the person names it."""
    note: str = field(default="", compare=False)
    """What else the question to the person says of the address."""
    known: bool = field(default=True, compare=False)
    """False where the model does not say where it sends what; then no agreement is remembered."""

    @property
    def needs_consent(self) -> bool:
        """Tell whether somebody has to agree: always, except for this machine when it is sent no variable."""
        return not self.known or self.variable is not None or not is_loopback(self.address)

    def text(self) -> str:
        """Return the destination in words."""
        note = f" ({self.note})" if self.note else ""
        sent = f"the value of {self.variable}" if self.variable is not None else "no variable of the environment"
        return " ".join(f"{self.model or 'a model'} at {self.address}{note}, with {sent}".split())


def is_plain(url: str) -> bool:
    """Return whether every client reads the same address in `url`: printable ASCII, nothing that wants an escape."""
    return _PLAIN.fullmatch(url) is not None


def is_loopback(url: str) -> bool:
    """Return whether what is sent to `url` certainly stays on this machine.

    That is said of ``localhost``, of 127.0.0.0/8 in four decimal numbers, of ::1, and of such an IPv4 address mapped
    to IPv6. Of nothing else: names are looked up by somebody, and 2130706433 or 0177.0.0.1 mean to one client what
    they do not mean to another.
    """
    found = _LOOPBACK.fullmatch(url)
    return found is not None and is_loopback_host(found["host"])


def is_loopback_host(host: str) -> bool:
    """Return whether a host, a name or an IP address, is certainly this machine; see `is_loopback`."""
    if host.lower() == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return False
        found = found.ipv4_mapped or found
    return found.is_loopback


def normal(url: str) -> str:
    """Return `url` as it is remembered: scheme and host in lower case, no usual port, no slash at the end."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    if not host or not is_plain(url) or "@" in parts.netloc or "#" in url:  # what is odd is shown as it stands
        return url
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS.get(parts.scheme):
        place += f":{port}"
    return f"{parts.scheme}://{place}{parts.path}".rstrip("/") + (f"?{parts.query}" if parts.query else "")
