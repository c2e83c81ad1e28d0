"""`Spent` adds up what model calls cost: their usage where it is known, and what was held for them where it is not."""

from __future__ import annotations

import msgspec

from agentsoc.contracts.model import Usage
from agentsoc.contracts.turns import Reply


class Spent(msgspec.Struct):
    """The object adds up what a turn cost."""

    tokens: int = 0
    """Charged to the ledger (tokens)."""
    lost_tokens: int = 0
    """Tokens charged for attempts whose usage is unknown; a part of `tokens` (tokens)."""
    lost_in: int = 0
    """Prompt tokens held for attempts whose usage is unknown; a part of `lost_tokens` (tokens)."""
    lost_calls: int = 0
    """Attempts whose outcome a crash swallowed."""
    calls: int = 0
    """Attempts that had an outcome."""
    tokens_in: int = 0
    """Input tokens, as far as providers reported them; so are the next two fields (tokens)."""
    tokens_cached: int = 0
    tokens_out: int = 0

    @classmethod
    def by(cls, reply: Reply) -> Spent:
        """Return what a reply says that it cost: that of an agent whose usage is known beforehand."""
        tokens_in, tokens_out = reply.tokens_in, reply.tokens_out
        return cls(tokens_in + tokens_out, 0, 0, 0, reply.calls, tokens_in, reply.tokens_cached, tokens_out)

    def charge(self, usage: Usage | None, unknown: bool, room: int, reserved: int) -> None:
        """Charge an attempt that had an outcome: the usage that its provider reports, or all that was reserved for it.

        Args:
            usage: what the provider reports.
            unknown: whether it may have been billed where the provider reports nothing.
            room: held for its prompt (tokens).
            reserved: held for it in all (tokens).
        """
        self.calls += 1
        if usage is not None and usage.known:
            self.tokens_in += usage.tokens_in
            self.tokens_cached += usage.tokens_cached
            self.tokens_out += usage.tokens_out
            self.tokens += usage.tokens_in + usage.tokens_out
        elif unknown:
            self._charge_unknown(room, reserved)

    def lose(self, room: int, reserved: int) -> None:
        """Charge an attempt whose outcome is not known; see `charge`."""
        self._charge_unknown(room, reserved)
        self.lost_calls += 1

    def add(self, more: Spent) -> None:
        """Add what was spent later."""
        self.tokens += more.tokens
        self.lost_tokens += more.lost_tokens
        self.lost_in += more.lost_in
        self.lost_calls += more.lost_calls
        self.calls += more.calls
        self.tokens_in += more.tokens_in
        self.tokens_cached += more.tokens_cached
        self.tokens_out += more.tokens_out

    def _charge_unknown(self, room: int, reserved: int) -> None:
        self.tokens += reserved
        self.lost_tokens += reserved
        self.lost_in += room
