"""What the owner of an open profile does with it beside its agent: passphrase, sign-in, backup, health.

A part of the composition root, for the window; the command line has commands of its own for the same. It implements
nothing of docs/protocol.md by itself. What goes wrong is told as an `AgentError`, in one sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentnet_desktop import doctor
from agentnet_desktop.agent.errors import AgentError, NotAllowed
from agentnet_desktop.compose import Holder
from agentnet_desktop.doctor import Tell
from agentnet_desktop.moving import move
from agentnet_desktop.portable import back_up
from agentnet_desktop.store.errors import StoreError
from agentnet_desktop.vault.errors import VaultError
from agentnet_desktop.vault.kdf import Kdf


@contextmanager
def _told() -> Iterator[None]:
    """Turns what the vault, the store and the disk say into what a face shows."""
    try:
        yield
    except (VaultError, StoreError) as error:
        raise NotAllowed(str(error)) from error
    except OSError as error:
        raise AgentError(f"{error.filename} cannot be written: {error.strerror}.") from error


class Care:
    """Looks after one open profile."""

    def __init__(self, holder: Holder, *, kdf: Kdf | None = None) -> None:
        """Binds to a profile.

        Args:
            holder: the profile, open.
            kdf: explicit Argon2id parameters, for tests; None calibrates.
        """
        self._holder = holder
        self._kdf = kdf

    @property
    def has_passphrase(self) -> bool:
        """Whether the profile opens with a passphrase."""
        return self._holder.vault.has_passphrase

    @property
    def needs_passphrase(self) -> bool:
        """Whether it must have one: a vault file must."""
        return self._holder.settings.key_store == "file"

    async def change_passphrase(self, old: str, new: str | None) -> int:
        """Wraps the keys anew, and agrees on new session keys; returns in how many conversations.

        Args:
            old: the present passphrase; not looked at where there is none.
            new: None for none, which only a keyring allows.

        Raises:
            NotAllowed: the old one is wrong, or the key store refused; the old one still holds.
        """
        vault = self._holder.vault
        with _told():
            if vault.has_passphrase:
                await asyncio.to_thread(vault.check_passphrase, old)
            await asyncio.to_thread(lambda: vault.change_passphrase(new, kdf=self._kdf))
        return await self._holder.agent.rotate_keys()

    @property
    def account(self) -> str | None:
        """The e-mail address of the account that signs in; None where none does."""
        return self._holder.account

    async def sign_in(self, email: str, password: str) -> None:
        """Signs the account in anew, and connects.

        Raises:
            NotAllowed: wrong, refused, or not reachable; what was kept stays.
        """
        await self._holder.sign_in(email, password)

    async def move(self, invite: str, *, insecure: bool) -> None:
        """Stops the agent and writes the relay that an invite link names; the profile is to be opened anew.

        Raises:
            BadInput: the link cannot be used; the agent works on.
            NotAllowed: it could not be written; the old relay stands.
        """
        await move(self._holder, invite, insecure=insecure)

    async def back_up(self, out: Path, passphrase: str) -> int:
        """Writes identity, pinned contacts and settings into a new file; returns how many contacts.

        Raises:
            NotAllowed: the file is there already, or cannot be written.
        """
        if await asyncio.to_thread(out.exists):
            raise NotAllowed(f"{out} is there already; a backup never replaces a file.")
        with _told():
            return await back_up(self._holder, out, passphrase=passphrase, kdf=self._kdf)

    async def examine(self, tell: Tell) -> None:
        """Walks the doctor's checks, without closing anything."""
        holder = self._holder
        if doctor.profile(holder.paths, tell) is None:
            return
        tell(doctor.keys(holder.vault))
        tell(await doctor.database(holder.paths, holder.vault.database_key))
        tell(doctor.disk(holder.paths.root))
        tell(doctor.storing(await holder.agent.storage_problem()))
        for finding in doctor.connection(holder.agent.connection):
            tell(finding)
        agent = holder.agent
        tell(doctor.sessions(await agent.session_keys(), await agent.contacts()))
