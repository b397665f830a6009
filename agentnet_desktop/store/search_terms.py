"""What can be asked of the log: terms, and how text is cut into words. Pure.

The filter language (`audit.filter`) produces terms, `log_search` turns them into SQL, and both cut text into
words here, so that the database and the language agree on what matches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

OPEN_STATES = ("QUEUED", "IN_FLIGHT", "ROUTED")
FAILED_STATES = ("FAILED", "EXPIRED", "REFUSED")
_MOST_TEXT = 20_000  # characters of one entry that can be searched
_LONGEST_WORD = 64  # characters; what is longer is an encoding, not a word
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_NO_ID = re.compile(r"[^A-Za-z0-9._:-]")


class TermField(StrEnum):
    """What a term looks at."""

    FROM = "from"  # who sent it; `me` is this agent
    TO = "to"
    WITH = "with"  # the peer, in either direction
    TYPE = "type"
    CONVERSATION = "conv"
    STATE = "state"
    IS = "is"
    AFTER = "after"  # entries at or after `time`
    BEFORE = "before"  # entries before `time`
    TEXT = "text"  # `words` stand next to each other in summary or content


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; a filter is true where all of its terms are.

    `value` is lower case. One that ended in `*` has `prefix` set. `words` is for TEXT, `time` (ms) for AFTER
    and BEFORE. The value `me` of FROM and TO is this agent.
    """

    field: TermField
    value: str = ""
    negated: bool = False
    prefix: bool = False
    words: tuple[str, ...] = ()
    time: int = 0


def token(value: str) -> str:
    """Returns an id, a type or a state as the full text holds it: one word, in lower case; `-` for an empty one."""
    return _NO_ID.sub("_", value).lower() or "-"


def is_unverified(direction: str, peer: str, verified: str) -> bool:
    """Tells whether an entry came from a peer without a signature that verified."""
    return direction == "in" and peer.lower() not in ("", "system") and verified != "good"


def words(text: str) -> list[str]:
    """Cuts text into the words that are searched: case, accents and width do not count.

    Letters of scripts that write no spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer) are a word each.
    """
    if text.isascii():  # most texts: the same words, found much faster
        return [word[:_LONGEST_WORD] for word in _ASCII_WORD.findall(text.lower())]
    found: list[str] = []
    current: list[str] = []
    for char in _folded(text):
        if char.isalnum() and not _stands_alone(char):
            current.append(char)
            continue
        if current:
            found.append("".join(current))
            current = []
        if char.isalnum():
            found.append(char)
    if current:
        found.append("".join(current))
    return [word[:_LONGEST_WORD] for word in found]


def _folded(text: str) -> str:
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in flat if not unicodedata.combining(char))


def _stands_alone(char: str) -> bool:
    code = ord(char)
    if code < 0x0E00:
        return False
    return code < 0x0F00 or 0x1780 <= code < 0x1800 or 0x3040 <= code < 0xA000 or 0x20000 <= code < 0x32000


def searchable(summary: str, content: Mapping[str, Any] | None) -> str:
    """Returns the words of an entry's summary and of the texts in its content, separated by spaces.

    Separate texts are kept apart by a `.`, over which no phrase matches.
    """
    texts = [summary]
    if content:
        _collect(content, texts)
    joined: list[str] = []
    room = _MOST_TEXT
    for text in texts:
        if text.isalnum() and text.isascii() and len(text) <= _LONGEST_WORD:  # one word, as many are
            piece = text.lower()
        else:
            piece = " ".join(words(text[:room]))
        room -= len(text)
        if piece:
            joined.append(piece)
        if room <= 0:
            break
    return " . ".join(joined)


def _collect(value: Any, texts: list[str]) -> None:
    if type(value) is str:
        texts.append(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            _collect(part, texts)
    elif isinstance(value, list | tuple):
        for part in value:
            _collect(part, texts)
    elif isinstance(value, str):
        texts.append(value)
