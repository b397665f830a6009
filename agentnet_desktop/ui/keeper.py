"""What the window asks of whoever keeps the open profile: passphrase, sign-in, backup, doctor. Handed in with the agent.

A protocol only, so that the window imports neither vault nor database.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Finding(Protocol):
    """One check of the doctor. `state`: `ok`, `warning`, `failed` or `skipped`."""

    @property
    def check(self) -> str:
        """What was looked at, one word."""

    @property
    def state(self) -> str:
        """How it is."""

    @property
    def message(self) -> str:
        """One sentence."""


class Keeper(Protocol):
    """Looks after the open profile. What goes wrong is raised as an `AgentError` with a sentence."""

    @property
    def has_passphrase(self) -> bool:
        """Whether the profile opens with a passphrase."""

    @property
    def needs_passphrase(self) -> bool:
        """Whether it must have one."""

    async def change_passphrase(self, old: str, new: str | None) -> int:
        """Wrap the keys anew; gives the number of conversations that get new keys."""

    @property
    def account(self) -> str | None:
        """The e-mail address of the account that signs in; None where none does."""

    async def sign_in(self, email: str, password: str) -> None:
        """Sign the account in anew, and connect."""

    async def move(self, invite: str, *, insecure: bool) -> None:
        """Stop the agent and write another relay, by its invite link; the profile is to be opened anew."""

    async def back_up(self, out: Path, passphrase: str) -> int:
        """Write a backup into a new file; gives the number of contacts in it."""

    async def examine(self, tell: Callable[[Finding], None]) -> None:
        """Walk the doctor's checks, one finding after the other."""
