"""How one profile signs in at its relay: which tokens it shows, and where a refresh token lies.

A part of the composition root. Implements the client's side of docs/protocol.md, section "Relay authentication", by
choosing among `transport.tokens` and `transport.firebase`; it makes no token and asks nobody anything itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentnet_desktop.profile import ProfileDamaged, ProfileSettings
from agentnet_desktop.transport.firebase import FirebaseTokens
from agentnet_desktop.transport.tokens import FileTokens, LocalTokens, TokenError, TokenSource
from agentnet_desktop.vault.errors import VaultError
from agentnet_desktop.vault.vault import Vault


class VaultTokenStore:
    """Keeps a refresh token in the vault; implements `firebase.TokenStore`."""

    def __init__(self, vault: Vault) -> None:
        """Keeps the unlocked vault."""
        self._vault = vault

    def get_token(self, name: str) -> str | None:
        """Returns what is kept; None when nothing is. Raises TokenError when it cannot be read."""
        try:
            return self._vault.get_token(name)
        except VaultError as error:
            raise TokenError(f"The sign-in cannot be read. {error}") from error

    def set_token(self, name: str, value: str | None) -> None:
        """Replaces what is kept; None removes it. Raises TokenError when it cannot be written."""
        try:
            self._vault.set_token(name, value)
        except VaultError as error:
            raise TokenError(f"The sign-in cannot be kept. {error}") from error


def token_source(
    settings: ProfileSettings,
    vault: Vault,
    *,
    audience: str,
    random: Callable[[int], bytes],
    invite: str | None,
    on_enrolled: Callable[[], None] | None,
) -> TokenSource:
    """Returns whence a profile's agent takes its tokens.

    Args:
        settings: the profile's.
        vault: holds its identity key, and the refresh token of an account.
        audience: the relay's origin, for tokens that the agent signs itself.
        random: returns n random bytes.
        invite: lets a new agent in, until the relay has accepted it.
        on_enrolled: is called at the first acceptance.

    Raises:
        ProfileDamaged: the settings name an emulator that cannot be one.
    """
    if settings.token_file:
        return FileTokens(Path(settings.token_file), invite=invite, on_enrolled=on_enrolled)
    if settings.firebase_key:
        try:
            return FirebaseTokens(
                api_key=settings.firebase_key,
                store=VaultTokenStore(vault),
                emulator=settings.firebase_emulator or None,
                invite=invite,
                on_enrolled=on_enrolled,
            )
        except ValueError as error:
            raise ProfileDamaged(f"The profile's settings are damaged. {error}") from error
    return LocalTokens(
        vault.identity,
        agent_id=settings.agent_id,
        audience=audience,
        random=random,
        enrolled=settings.enrolled,
        invite=invite,
        on_enrolled=on_enrolled,
    )
