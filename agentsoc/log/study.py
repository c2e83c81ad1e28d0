"""This module keeps the account of the study: calls that no agent made and that no budget of the team pays for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from agentsoc.contracts.model import CallError


class Study(BaseModel):
    """The account adds up the attempts that are journaled under the society's id."""

    model_config = ConfigDict(extra="forbid")

    calls: int = Field(default=0, ge=0)
    """Attempts."""
    tokens_in: int = Field(default=0, ge=0)
    """Their prompts, as far as providers reported it (tokens)."""
    tokens_out: int = Field(default=0, ge=0)
    """Their replies, as far as providers reported it (tokens)."""
    tokens_lost: int = Field(default=0, ge=0)
    """What was reserved for those of them that were billed and whose usage is not known (tokens)."""

    def charge(self, used: tuple[int, int] | None, failure: str | None, reserved: int) -> None:
        """Charge an attempt.

        Args:
            used: input and output (tokens); None when the provider did not say.
            failure: ``kind: message`` of one that failed.
            reserved: held for it (tokens).
        """
        self.calls += 1
        if used is not None:
            self.tokens_in += used[0]
            self.tokens_out += used[1]
        elif failure is None or CallError(failure.partition(": ")[0], "").billed:  # type: ignore[arg-type]
            self.tokens_lost += reserved

    def text(self) -> str:
        """Return the account in words."""
        lost = f", {self.tokens_lost:,} lost" if self.tokens_lost else ""
        tokens = self.tokens_in + self.tokens_out + self.tokens_lost
        kinds = f"{self.tokens_in:,} input, {self.tokens_out:,} output{lost}"
        return f"{self.calls:,} calls of the study, {tokens:,} tokens ({kinds}), on top of the agents' own"
