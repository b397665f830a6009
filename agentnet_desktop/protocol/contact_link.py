"""Contact links and join links: one line of text that carries an address and a secret.

Implements docs/protocol.md sections 10.3 (contact links) and 11.3 (join links).

    agentnet://contact/AGENT_ID?relay=URL#key=B64URL&token=B64URL&expires=MS
    agentnet://join?relay=URL&name=RELAY_NAME#invite=CODE&cert=HEX

Values are percent-encoded; secrets stand in the fragment, which no server is ever sent. Reading is strict:
what is not exactly of this form is refused with a sentence for a person.

This module does not decide whether a link may be used, and checks no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


class BadLink(ValueError):
    """The text is not a link of this kind; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class ContactLink:
    """An invitation to become a contact.

    Attributes:
        agent_id: Whose link it is.
        relay: The relay's address, as in `wss://relay.example:443`.
        key: The agent's Ed25519 identity key, 32 bytes.
        token: 32 random bytes that prove the link was seen; never shown by `repr`.
        expires: ms since the Unix epoch.
    """

    agent_id: str
    relay: str
    key: bytes
    token: bytes
    expires: int

    def format(self) -> str:
        """The link as text. It holds the token: show it only to the person."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class InviteLink:
    """A relay's invitation to enrol.

    Attributes:
        relay: The relay's address.
        invite: The code; never shown by `repr`.
        name: The relay's name, for display only.
        cert: SHA-256 of the certificate's SPKI, 32 bytes, when the relay's certificate is self-signed.
    """

    relay: str
    invite: str
    name: str = ""
    cert: bytes | None = None

    def format(self) -> str:
        """The link as text. It holds the code."""
        raise NotImplementedError


def parse_contact_link(text: str) -> ContactLink:
    """Read a contact link.

    Raises:
        BadLink: If it is not exactly one.
    """
    raise NotImplementedError


def parse_invite_link(text: str) -> InviteLink:
    """Read a join link.

    Raises:
        BadLink: If it is not exactly one.
    """
    raise NotImplementedError
