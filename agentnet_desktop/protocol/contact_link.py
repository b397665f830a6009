"""Contact links and join links: one line of text that carries an address and a secret.

Implements docs/protocol.md sections 10.4 (contact links) and 11.4 (join links).

    agentnet://contact/AGENT_ID?relay=URL#key=B64URL&token=B64URL&expires=MS
    agentnet://join?relay=URL&name=RELAY_NAME#invite=CODE&cert=HEX

Values are percent-encoded; secrets stand in the fragment, which no server is ever sent. Reading is strict:
what is not exactly of this form is refused with a sentence for a person. `repr` never shows a secret.

This module does not decide whether a link may be used, and checks no clock.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from relay.wire.envelope import MAX_INTEGER, is_agent_id

_CONTACT: Final = "agentnet://contact/"
_JOIN: Final = "agentnet://join"
_LONGEST: Final = 2048
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$'()*+,;:@/?]|%[0-9A-Fa-f]{2})*")
_CODE: Final = re.compile(r"[A-Za-z0-9._~-]{22,256}")  # 22 characters of base64url carry 128 bits
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_DIGITS: Final = re.compile(r"0|[1-9][0-9]*")


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
    token: bytes = field(repr=False)
    expires: int

    def format(self) -> str:
        """The link as text. It holds the token: show it only to the person."""
        return (
            f"{_CONTACT}{quote(self.agent_id, safe='')}?relay={quote(self.relay, safe='')}"
            f"#key={b64url(self.key)}&token={b64url(self.token)}&expires={self.expires}"
        )


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
    invite: str = field(repr=False)
    name: str = ""
    cert: bytes | None = None

    def format(self) -> str:
        """The link as text. It holds the code."""
        cert = "" if self.cert is None else f"&cert={self.cert.hex()}"
        return (
            f"{_JOIN}?relay={quote(self.relay, safe='')}&name={quote(self.name, safe='')}"
            f"#invite={quote(self.invite, safe='')}{cert}"
        )


def parse_contact_link(text: str) -> ContactLink:
    """Read a contact link.

    Raises:
        BadLink: If it is not exactly one.
    """
    rest = _after(text, _CONTACT, "contact")
    agent_id, query, fragment = _parts(rest)
    agent_id = _unquote(agent_id, "agent id")
    if not is_agent_id(agent_id):
        raise BadLink("The link does not name an agent.")
    public = _values(query, required=("relay",))
    secret = _values(fragment, required=("key", "token", "expires"))
    return ContactLink(
        agent_id=agent_id,
        relay=_relay(public["relay"]),
        key=_bytes32(secret["key"], "key"),
        token=_bytes32(secret["token"], "token"),
        expires=_time(secret["expires"]),
    )


def parse_invite_link(text: str) -> InviteLink:
    """Read a join link.

    Raises:
        BadLink: If it is not exactly one.
    """
    rest = _after(text, _JOIN, "join")
    path, query, fragment = _parts(rest)
    if path:
        raise BadLink("The link is not a join link.")
    public = _values(query, required=("relay",), optional=("name",))
    secret = _values(fragment, required=("invite",), optional=("cert",))
    if _CODE.fullmatch(secret["invite"]) is None:
        raise BadLink("The invite code in the link is damaged.")
    cert = secret.get("cert")
    if cert is not None and _HEX.fullmatch(cert) is None:
        raise BadLink("The certificate's fingerprint in the link is damaged.")
    return InviteLink(
        relay=_relay(public["relay"]),
        invite=secret["invite"],
        name=public.get("name", ""),
        cert=None if cert is None else bytes.fromhex(cert),
    )


def b64url(data: bytes) -> str:
    """Unpadded base64url."""
    return binascii.b2a_base64(data, newline=False).decode().translate(_TO_URL).rstrip("=")


_TO_URL: Final = str.maketrans("+/", "-_")
_FROM_URL: Final = str.maketrans("-_", "+/")


def _after(text: str, prefix: str, kind: str) -> str:
    if len(text) > _LONGEST:
        raise BadLink("The link is too long.")
    if not text.startswith(prefix):
        raise BadLink(f"This is not a {kind} link; those begin with {prefix}")
    return text[len(prefix) :]


def _parts(rest: str) -> tuple[str, str, str]:
    if rest.count("#") != 1:
        raise BadLink("The link is not whole: the part after # is missing or doubled.")
    rest, fragment = rest.split("#")
    path, mark, query = rest.partition("?")
    if not mark:
        raise BadLink("The link is not whole: the part after ? is missing.")
    return path, query, fragment


def _values(text: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in text.split("&"):
        name, mark, value = pair.partition("=")
        if (name not in required and name not in optional) or not mark:
            raise BadLink("The link holds a part that is not known.")
        if name in found:
            raise BadLink(f"The link holds '{name}' twice.")
        found[name] = _unquote(value, name)
    for name in required:
        if name not in found:
            raise BadLink(f"The link is not whole: '{name}' is missing.")
    return found


def _unquote(text: str, name: str) -> str:
    try:
        if _PLAIN.fullmatch(text) is None:
            raise ValueError
        return unquote_to_bytes(text).decode("utf-8")
    except ValueError:
        raise BadLink(f"The {name} in the link is damaged.") from None


def _relay(text: str) -> str:
    try:
        url = urlsplit(text)
        good = url.scheme in ("ws", "wss") and url.hostname and (url.port is None or url.port > 0)
    except ValueError:  # brackets that do not match, or a port beyond 65,535
        good = False
        url = urlsplit("")
    if not good or url.username is not None or url.query or url.fragment or not text.isprintable():
        raise BadLink("The relay's address in the link is not a ws:// or wss:// address.")
    return text


def _bytes32(text: str, name: str) -> bytes:
    try:
        data = binascii.a2b_base64(text.translate(_FROM_URL) + "=")  # 32 bytes are 43 characters and one "="
    except ValueError:
        data = b""
    if len(data) != 32 or b64url(data) != text:
        raise BadLink(f"The {name} in the link is damaged.")
    return data


def _time(text: str) -> int:
    if _DIGITS.fullmatch(text) is None or int(text) > MAX_INTEGER:
        raise BadLink("The expiry in the link is damaged.")
    return int(text)
