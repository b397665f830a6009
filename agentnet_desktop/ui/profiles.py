"""What the window asks of the composition root: to make, open and restore a profile. Handed in, so that it imports none of it.

Protocols and one record of them; nothing is done here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent
    from agentnet_desktop.ui.keeper import Keeper


class Holder(Protocol):
    """An open profile."""

    @property
    def agent(self) -> Agent:
        """Its agent."""

    async def start(self) -> None:
        """Start the agent."""

    async def refusal(self) -> str:
        """Wait for the relay's first word; give why it refuses the agent, or ""."""

    async def close(self) -> None:
        """Stop the agent and close the profile."""


class MakeProfile(Protocol):
    """Makes a profile in a folder."""

    def __call__(
        self,
        root: Path,
        *,
        agent_id: str,
        invite: str,
        auth: str = "local",
        token_file: str | None = None,
        account: Any = None,
        key_store: str,
        passphrase: str | None,
        insecure: bool,
    ) -> Awaitable[object]:
        """Make it; raises one of `Profiles.errors`."""


class OpenProfile(Protocol):
    """Opens a profile for work."""

    def __call__(
        self, root: Path, passphrase: str | None, /, *, accept_backend: bool = False
    ) -> Awaitable[Holder]:
        """Open it; raises one of `Profiles.errors`. `accept_backend`: the person wants the key store that is here."""


class RestoreProfile(Protocol):
    """Makes a profile out of a backup."""

    def __call__(
        self,
        root: Path,
        source: Path,
        *,
        backup_passphrase: str,
        key_store: str,
        passphrase: str | None,
    ) -> Awaitable[object]:
        """Make it; raises one of `Profiles.errors`."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the composition root offers, handed in so that the window imports none of it."""

    exists: Callable[[Path], bool]
    make: MakeProfile
    account: Callable[..., Any]  # a Firebase account for `make`: api_key, email, password
    remove: Callable[[Path], None]  # takes a profile back that was just made; blocks
    open: OpenProfile
    restore: RestoreProfile
    keeper: Callable[[Any], Keeper]  # of an open profile, for its settings
    errors: tuple[type[Exception], ...]  # their texts are sentences for the person
    locked: tuple[type[Exception], ...]  # a passphrase is needed, or was wrong
    no_keyring: tuple[type[Exception], ...]
    at_relay: tuple[type[Exception], ...]  # what was said about the relay or the sign-in will not do
    backend_changed: tuple[type[Exception], ...]  # another key store than the recorded one is in use
