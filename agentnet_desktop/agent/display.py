"""Text and links that others wrote, made safe to show to a person.

A peer's words may carry terminal escapes, direction overrides, invisible characters or far too much of
everything. Both faces pass such text through `visible` before it reaches a screen. The result is plain
text: a face still has to show it as such, never as markup.

Implements no section of docs/protocol.md. It does not translate, format times or decide anything.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from agentnet_desktop.agent.errors import BadInput

_ELLIPSIS = "…"
_MAX_COMBINING_RUN = 4  # legitimate scripts stack up to three or four marks on one letter
_MAX_BLANK_LINES = 1
_JOINERS = frozenset("\u200c\u200d")  # needed by Persian, Indic scripts and emoji sequences
_VARIATION_SELECTORS = frozenset(chr(code) for code in range(0xFE00, 0xFE10))
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters that draw nothing and so can hide in a name: Hangul and halfwidth fillers, braille blank.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def _mark(character: str) -> str:
    """Name one hidden character in a way that cannot be mistaken for the peer's own text."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"⟨U+{code:04X}⟩"


def _joins(text: str, position: int) -> bool:
    """Tell whether a joiner at `position` stands between two characters that it can join."""
    if not 0 < position < len(text) - 1:
        return False
    before, after = text[position - 1], text[position + 1]
    return all(ord(side) > 0x2FF and unicodedata.category(side)[0] in "LMS" for side in (before, after))


def _shown(text: str, position: int, combining: int) -> str:
    """Give what stands on the screen for the character at `position`; "" drops it."""
    character = text[position]
    if character in _JOINERS and _joins(text, position):
        return character
    if character in _VARIATION_SELECTORS and position > 0:
        return character
    if character in _BLANK_LETTERS:
        return _mark(character)
    category = unicodedata.category(character)
    if category in _HIDDEN_CATEGORIES:
        return _mark(character)
    if category in ("Mn", "Me") and combining >= _MAX_COMBINING_RUN:
        return ""
    if category == "Zs":
        return " "
    return character


def visible(text: str, limit: int, *, multiline: bool = False) -> str:
    """Make text of unknown origin safe to show.

    Control characters become their Unicode control pictures (`␛`), bidi and other invisible ones their
    code point (`⟨U+202E⟩`), runs of combining marks are cut, and the whole is cut to `limit`.

    Args:
        text: What a peer, or anyone else, wrote.
        limit: Greatest length of the result in characters, at least 1; a cut text ends in `…`.
        multiline: Keep line feeds, at most one blank line in a row. Otherwise they are shown as `␊`.

    Returns:
        The text to show, of at most `limit` characters.
    """
    shown: list[str] = []
    length = combining = line_feeds = 0
    source = text.replace("\r\n", "\n") if multiline else text
    for position, character in enumerate(source):
        if multiline and character == "\n":
            line_feeds += 1
            piece = "\n" if line_feeds <= _MAX_BLANK_LINES + 1 else ""
        else:
            line_feeds = 0
            piece = _shown(source, position, combining)
        combining = combining + 1 if unicodedata.combining(character) else 0
        if length + len(piece) > limit:
            return _cut(shown, length, limit)
        shown.append(piece)
        length += len(piece)
    return "".join(shown)


def _cut(pieces: list[str], length: int, limit: int) -> str:
    """Take whole pieces off the end until the ellipsis fits."""
    while pieces and length > limit - len(_ELLIPSIS):
        length -= len(pieces.pop())
    return "".join(pieces) + _ELLIPSIS


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What a contact link says, for the question that a face asks before it uses one."""

    agent_id: str
    relay: str
    fingerprint: str
    expires_at: int


def link_facts(link: str) -> LinkFacts:
    """Read a contact link without using it.

    Raises:
        BadInput: it is not one; the message says why.
    """
    # Cryptography is loaded when a link is there, not before a window is.
    from agentnet_desktop.crypto.keys import fingerprint
    from agentnet_desktop.protocol.contact_link import BadLink, parse_contact_link

    try:
        parsed = parse_contact_link(link.strip())
    except BadLink as error:
        raise BadInput(str(error)) from None
    return LinkFacts(parsed.agent_id, parsed.relay, fingerprint(parsed.key), parsed.expires)


@dataclass(frozen=True, slots=True)
class InviteFacts:
    """What a relay's join link says."""

    relay: str
    name: str
    pinned: bool  # whether it brings the fingerprint of the relay's own certificate
    exposed: bool  # whether the way to the relay crosses a network without encryption


def invite_facts(link: str) -> InviteFacts:
    """Read a join link without using it.

    Raises:
        BadInput: it is not one; the message says why.
    """
    from agentnet_desktop.protocol.contact_link import BadLink, parse_invite_link
    from agentnet_desktop.transport.endpoint import BadEndpoint, parse_endpoint

    try:
        parsed = parse_invite_link(link.strip())
        exposed = parse_endpoint(parsed.relay, insecure=True).exposed
    except (BadLink, BadEndpoint) as error:
        raise BadInput(str(error)) from None
    return InviteFacts(parsed.relay, parsed.name, parsed.cert is not None, exposed)


def agent_id_problem(text: str) -> str:
    """Say what is wrong with an agent's id that a person typed; "" when it will do."""
    from relay.wire.envelope import is_agent_id

    if is_agent_id(text):
        return ""
    if len(text) < 2 or len(text) > 64:
        return "An agent's id has 2 to 64 characters."
    if text.lower() == "system":
        return "The name 'system' means the relay; choose another."
    return "Use letters, digits, '.', '_' and '-', and begin with a letter or digit."
