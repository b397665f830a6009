"""What the relays of a cluster say to each other over NATS, and under which subjects (docs/self-hosting.md).

Two things cross. A *forward* is an envelope as its sender wrote it, nothing before or after it, as a request to
the subject of its recipient; the answer is an `Outcome`. A *note* goes to all relays: who is connected, whom it
watches, that a relay is alive. Tokens, addresses and contents of sealed messages are in neither.

Whatever comes from NATS is somebody's claim: it is read strictly here, and what does not fit is None. Pure.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from relay.wire.codec import Format, Routed, decode_routing
from relay.wire.control import MAX_WATCHED
from relay.wire.envelope import MAX_INTEGER, SYSTEM, MessageType, agent_key, is_agent_id, is_id

PREFIX: Final = "agentnet.v1"
"""Of every subject; another form of notes gets another number."""
NOTES: Final = f"{PREFIX}.notes"
_TO: Final = f"{PREFIX}.to."
_BACK: Final = f"{PREFIX}.back."
_DOT: Final = "~"
"""Stands for the `.` of an agentId, which would begin a new token of a subject; no agentId has it."""
NODE_BYTES: Final = 8
LARGEST_NOTE: Final = 1 << 17
"""Bytes that a note needs at most: one that names as many agents as are watched, with their connections."""
_BACK_FORM: Final = re.compile(re.escape(_BACK) + r"[0-9a-f]{16}\.([0-9]{1,18})", re.ASCII)

Node = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Clock = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]


class Stamp(NamedTuple):
    """When a connection began: the greater of two is the newer one, the same for all who compare.

    Attributes:
        clock: ms, ahead of every clock that its relay had heard of then, so that clocks that differ do not make
            a newer connection look older.
        connection: its id, which settles a tie.
    """

    clock: int
    connection: str


class _Note(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    node: Node


class Hello(_Note, frozen=True):
    """This relay has joined, or joined again: nothing that it said before holds."""

    clock: Clock


class Beat(_Note, frozen=True):
    """This relay is alive."""

    clock: Clock


class Bye(_Note, frozen=True):
    """This relay has stopped."""


class Here(_Note, frozen=True):
    """An agent is connected at this relay.

    Attributes:
        agent: as it is spelled.
        watch: the keys of those whom it watches, all of them; None when it has not said.
    """

    agent: str
    clock: Clock
    connection: str
    watch: Annotated[tuple[str, ...], Meta(max_length=MAX_WATCHED)] | None


class Seen(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One agent in a `There`."""

    agent: str
    clock: Clock
    connection: str


class There(_Note, frozen=True):
    """Those at this relay who watch, and are watched by, the agent of a `Here`.

    Attributes:
        to: that agent's key.
        connection: the id of its connection.
        seen: who they are.
    """

    to: str
    connection: str
    seen: Annotated[tuple[Seen, ...], Meta(max_length=MAX_WATCHED)]


class Gone(_Note, frozen=True):
    """A connection of an agent at this relay has ended."""

    agent: str
    clock: Clock
    connection: str


Note = Hello | Beat | Bye | Here | There | Gone
_reader: Final = msgspec.msgpack.Decoder(Note)
write: Final = msgspec.msgpack.Encoder().encode


def read(data: bytes) -> Note | None:
    """A note; None for what is none."""
    try:
        note = _reader.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return note if _fits(note) else None


def _fits(note: Note) -> bool:
    """Whether the ids in a note have their forms."""
    match note:
        case Here():
            watched = note.watch or ()
            return _names(note) and all(_is_key(key) for key in watched)
        case Gone():
            return _names(note)
        case There():
            return _is_key(note.to) and is_id(note.connection) and all(_names(seen) for seen in note.seen)
        case _:
            return True


def _names(said: Here | Gone | Seen) -> bool:
    return is_agent_id(said.agent) and is_id(said.connection)


def _is_key(text: str) -> bool:
    return is_agent_id(text) and agent_key(text) == text


# --- forwards -------------------------------------------------------------------------------------------


def agent_subject(key: str) -> str:
    """The subject of an agent, by its key: one token, whatever the agentId holds."""
    return _TO + key.replace(".", _DOT)


def subject_agent(subject: str) -> str:
    """The agent key that a subject is of."""
    return subject.removeprefix(_TO).replace(_DOT, ".")


def back_subject(node: str, number: int | str) -> str:
    """Where the answer to a relay's forward of that number goes; `*` for all of them."""
    return f"{_BACK}{node}.{number}"


def back_number(subject: str) -> int | None:
    """The number of the forward whose answer goes there; None when no answer may go there."""
    found = _BACK_FORM.fullmatch(subject)
    return int(found[1]) if found else None


def read_forward(key: str, data: bytes) -> tuple[Routed, Format] | None:
    """An envelope that another relay hands over, judged as one that a client sends.

    Args:
        key: of the agent it was sent to.
        data: what came. The first byte tells the format: an object in JSON is ASCII there, a map in msgpack
            never is.

    Returns:
        What it is routed by, and its format; None when it is not one envelope, from an agent, for that agent, of
        a type that agents send each other.
    """
    fmt = Format.JSON if data[:1].isascii() else Format.MSGPACK
    found = decode_routing(data, fmt, max_message_bytes=MAX_INTEGER)  # its sender's relay has limited it
    if len(found) != 1:
        return None
    (message,) = found
    if not isinstance(message, Routed) or message.message_type in _RELAY_ONLY:
        return None
    if message.sender_id == SYSTEM or agent_key(message.recipient_id) != key:
        return None
    return message, fmt


_RELAY_ONLY: Final = frozenset({MessageType.AUTH, MessageType.CONNECTED, MessageType.PRESENCE})
