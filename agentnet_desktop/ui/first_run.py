"""The first run behind the wizard: has the profile made, or leaves nothing, and waits for the relay's first word."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QObject

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.ui.hosting.relay_process import RelayProcess
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.profiles import Holder, Profiles
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.wizard.restore import RestoreChoices, RestoreFailed
from agentnet_desktop.ui.wizard.wizard import FirstRunChoices, FirstRunFailed

Show = Callable[[Holder], Awaitable[None]]


def sentence(error: Exception) -> str:
    """Say what an error is: its own words when it was raised for a person."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return tr("The system refused: {0}{1}.").format(error.strerror or type(error).__name__, where)
    return str(error)


class FirstRunMaker(QObject):
    """Makes the profile that the wizard's choices ask for."""

    def __init__(
        self,
        folder: Path,
        profiles: Profiles,
        parent: QObject,
        preferences: Preferences,
        relay: RelayProcess | None,
        show: Show,
    ) -> None:
        """Make nothing yet.

        Args:
            folder: The profile's, which may not exist yet.
            profiles: Makes and opens it.
            parent: Whose part this is.
            preferences: The window's own settings.
            relay: The bundled relay's process.
            show: Shows an open profile, whose agent has been started, in the window.
        """
        super().__init__(parent)
        self._folder = folder
        self._profiles = profiles
        self._preferences = preferences
        self._relay = relay
        self._show = show
        self._was_there = folder.exists()
        self._troubles: tuple[type[Exception], ...] = (*profiles.errors, AgentError, OSError, RuntimeError)

    async def make(self, choices: FirstRunChoices) -> None:
        """Make a profile, open it, and wait for the relay's first word.

        Raises:
            FirstRunFailed: There is no profile; says why.
        """
        try:
            await self._make(choices)
        except self._profiles.no_keyring as error:
            raise FirstRunFailed(str(error), needs_file=True) from error
        except self._profiles.at_relay as error:
            raise FirstRunFailed(str(error), at_relay=True) from error
        except self._troubles as error:
            raise FirstRunFailed(sentence(error)) from error

    async def _make(self, choices: FirstRunChoices) -> None:
        invite = choices.invite or await self._host()
        given, by_file = choices.account, choices.token_file
        account = None
        if given is not None:
            account = self._profiles.account(
                api_key=given.api_key, email=given.email, password=given.password
            )
        await self._profiles.make(
            self._folder,
            agent_id=choices.agent_id,
            invite=invite,
            auth="firebase" if account is not None else "oidc" if by_file is not None else "local",
            token_file=str(by_file) if by_file is not None else None,
            account=account,
            key_store="file" if choices.vault_file else "keyring",
            passphrase=choices.passphrase,
            insecure=choices.insecure,
        )
        await self._begin(choices.passphrase, joins=choices.invite is not None)

    async def _begin(self, passphrase: str | None, *, joins: bool) -> None:
        """Open the profile that was made, and start its agent; when that fails, take it back."""
        holder: Holder | None = None
        try:
            holder = await self._profiles.open(self._folder, passphrase)
            await holder.start()
            if joins and (refusal := await holder.refusal()):
                raise FirstRunFailed(refusal, at_relay=True)
            await self._show(holder)
        except BaseException:
            if holder is not None:
                await holder.close()
            await asyncio.to_thread(self._profiles.remove, self._folder)
            raise
        self._preferences.save()

    async def _host(self) -> str:
        """Start the bundled relay, on another port where the usual one is taken, and invite ourselves."""
        if self._relay is None:
            raise RuntimeError(self.tr("The bundled relay could not be started."))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for port in (self._preferences.relay_port, 0):
            self._relay.start(port=port, name=self._preferences.relay_name)
            try:
                address = await self._relay.started()
            except RuntimeError:
                if port == 0:
                    raise
                continue
            self._preferences.relay_port = urlsplit(address).port or self._preferences.relay_port
            break
        self._preferences.host_relay = True
        return await self._relay.invite()

    async def forget(self) -> None:
        """Leave no folder behind that was made here for a profile that was not; the bundled relay has stopped."""
        if not self._was_there and not self._profiles.exists(self._folder) and self._folder.exists():
            await asyncio.to_thread(shutil.rmtree, self._folder)

    async def restore(self, choices: RestoreChoices) -> None:
        """Make a profile out of a backup, and open it.

        Raises:
            RestoreFailed: There is no profile; says why.
        """
        try:
            await self._profiles.restore(
                self._folder,
                choices.source,
                backup_passphrase=choices.backup_passphrase,
                key_store="file" if choices.vault_file else "keyring",
                passphrase=choices.passphrase,
            )
            await self._begin(choices.passphrase, joins=False)
        except self._troubles as error:
            raise RestoreFailed(sentence(error)) from error
