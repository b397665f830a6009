"""The other relays of a cluster, as one of them sees it: who is newer, who watches whom, who fell silent.

Events in (a connection here came, watches, went; a note or a forward came; time passed), commands out, in order.
Kept of other relays: when each was last heard, and those of their agents who watch an agent here and are
watched back. An agent's whereabouts are not kept: NATS knows who listens, and says at once when nobody does.

Pure: times are ms on a monotonic clock and are passed in; no socket, no clock, no log. `relay.cluster` is the
shell. What crosses NATS is in `relay.notes`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

from relay.commands import Command, Listen, Publish, Send
from relay.connection import Connection, Relay
from relay.forwards import Forwards, Waiting
from relay.notes import (
    NODE_BYTES,
    NOTES,
    Beat,
    Bye,
    Gone,
    Hello,
    Here,
    Note,
    Seen,
    Stamp,
    There,
    agent_subject,
    back_subject,
    read,
    read_forward,
    write,
)
from relay.outcome import Outcome
from relay.wire.codec import Routing, transcode
from relay.wire.control import PresenceState
from relay.wire.envelope import agent_key
from relay.wire.errors import CloseCode

BEAT_MS: Final = 1000
SILENT_MS: Final = 5000
"""A relay that was not heard for so long is gone, and its agents with it."""
ANNOUNCED_AT_ONCE: Final = 1000
"""How many agents are announced anew at one tick; a large relay must not stand still for it."""
MAX_NODES: Final = 1000
AHEAD_MS: Final = 86_400_000
"""Another relay's clock counts only so far ahead of ours, or one wrong note could end all counting."""


class _Local:
    """An agent connected here; `friends` are the keys of agents elsewhere: each watches the other."""

    __slots__ = ("connection", "friends", "stamp")

    def __init__(self, connection: Connection, stamp: Stamp) -> None:
        self.connection = connection
        self.stamp = stamp
        self.friends: set[str] = set()


class _Remote:
    """An agent connected elsewhere; `friends` are the keys of agents here: each watches the other."""

    __slots__ = ("agent_id", "friends", "node", "stamp")
    agent_id: str
    node: str
    stamp: Stamp

    def __init__(self) -> None:
        self.friends: set[str] = set()


class Nodes:
    """What one relay knows of the others."""

    def __init__(self, relay: Relay, random: Callable[[int], bytes]) -> None:
        """Build it, not joined yet.

        Args:
            relay: what the connections here share.
            random: gives that many random bytes; this relay's name among the others is made of them.
        """
        self.node = random(NODE_BYTES).hex()
        self.is_joined = False
        self._relay = relay
        self._forwards = Forwards()
        self._here: dict[str, _Local] = {}
        self._there: dict[str, _Remote] = {}
        self._heard: dict[str, int] = {}
        self._to_announce: deque[str] = deque()
        self._clock = 0
        self._beat_at = 0

    @property
    def others(self) -> AbstractSet[str]:
        """The relays that are there, as it changes."""
        return self._heard.keys()

    # --- what happens here ------------------------------------------------------------------------------

    def entered(self, connection: Connection, now: int) -> list[Command]:
        """An agent has connected here; where it was connected before, it is closed when they hear it."""
        key = connection.key
        commands = self._forget(key, now)
        self._clock = max(self._clock + 1, now + self._relay.wall_offset)
        local = self._here[key] = _Local(connection, Stamp(self._clock, connection.connection_id))
        return [*commands, Listen(key), *self._say(self._announcement(local))]

    def watched(self, connection: Connection, now: int) -> list[Command]:
        """An agent here has sent a watch set: it is told again of those who are known to watch it."""
        local = self._here[connection.key]
        for key in [key for key in local.friends if not _watches(local, key)]:
            self._part(local, key)
        online = [self._there[key].agent_id for key in sorted(local.friends)]
        commands = [self._tell(local, agent_id, PresenceState.ONLINE, now) for agent_id in online]
        return commands + self._say(self._announcement(local))

    def left(self, connection: Connection) -> list[Command]:
        """A connection that had entered has ended."""
        key = connection.key
        local = self._here.pop(key)
        for friend in set(local.friends):
            self._part(local, friend)
        commands: list[Command] = [Listen(key)]
        if connection.watching is not None:  # else nobody can have heard of it
            commands += self._say(Gone(self.node, connection.agent_id, *local.stamp))
        return commands

    def is_friend(self, connection: Connection, key: str) -> bool:
        """Whether an agent elsewhere is known to watch this one."""
        return key in self._here[connection.key].friends

    def forward(self, sender: Connection, message: Routing, raw: bytes, now: int) -> list[Command]:
        """Hand a message, whose recipient is not connected here, to where it is."""
        number = self._forwards.begin(sender, message, len(raw), now) if self.is_joined else 0
        if not number:
            return sender.answered(message.message_id, message.message_type, Outcome.UNKNOWN, now)
        self._relay.counters.messages_forwarded_total += 1
        to = agent_subject(agent_key(message.recipient_id))
        return [Publish(to, raw, back_subject(self.node, number))]

    # --- what others do ---------------------------------------------------------------------------------

    def answered(self, number: int, outcome: Outcome, now: int) -> list[Command]:
        """The answer to a forward came; one that comes too late, or twice, changes nothing."""
        waiting = self._forwards.end(number)
        return [] if waiting is None else self._settle(waiting, outcome, now)

    def asked(self, key: str, data: bytes, now: int) -> tuple[Outcome | None, list[Command]]:
        """Another relay hands over a message: by the rules of a message that comes from here.

        Args:
            key: of the agent it is for.
            data: the envelope.
            now: ms.

        Returns:
            What to answer, or None for what is no message at all, and what to do.
        """
        found = read_forward(key, data)
        if found is None:
            self._relay.counters.malformed_notes_total += 1
            return None, []
        message, fmt = found
        target, sender = self._relay.router.find(key), agent_key(message.sender_id)
        if target is None or not target.admits(sender, message.message_type):
            return Outcome.ABSENT, []
        data = transcode(message.raw, fmt, target.format)
        if not target.backlog.has_room(len(data), self._relay.meters.limits, now):
            return Outcome.SLOW, []
        target.backlog.waiting += len(data)
        counters = self._relay.counters
        counters.messages_received_total += 1
        counters.messages_routed_total += 1
        counters.bytes_routed_total += len(data)
        is_expected = target.watching is not None and sender in target.watching
        return Outcome.EXPECTED if is_expected else Outcome.ROUTED, [Send(target, data)]

    def heard(self, data: bytes, now: int) -> list[Command]:
        """A note came; what is none is counted and dropped."""
        note = read(data)
        if note is None or note.node == self.node:
            self._relay.counters.malformed_notes_total += 1
            return []
        if isinstance(note, Bye):
            return self._lose(note.node, now)
        forgotten = self._lose(note.node, now) if isinstance(note, Hello) else []
        if not self._meet(note, now):
            return forgotten
        match note:
            case Here():
                return self._on_here(note, now)
            case There():
                return self._on_there(note, now)
            case Gone():
                return self._on_gone(note, now)
        return forgotten

    def _meet(self, note: Hello | Beat | Here | There | Gone, now: int) -> bool:
        """Note that a relay is there; when it speaks and was not known, it has to hear who is here."""
        if note.node not in self._heard:
            if len(self._heard) >= MAX_NODES:
                self._relay.counters.malformed_notes_total += 1
                return False
            if not isinstance(note, Hello):  # who says that asks by announcing its own
                self._announce_all()
        self._heard[note.node] = now
        if not isinstance(note, There):
            self._clock = max(self._clock, min(note.clock, now + self._relay.wall_offset + AHEAD_MS))
        return True

    def _on_here(self, note: Here, now: int) -> list[Command]:
        """An agent is connected elsewhere: the newer connection wins, and its watch set holds."""
        key, stamp = agent_key(note.agent), Stamp(note.clock, note.connection)
        local, remote = self._here.get(key), self._there.get(key)
        commands: list[Command] = []
        if local is not None and stamp <= local.stamp:
            return self._say(self._announcement(local)) if stamp < local.stamp else []
        if local is not None:
            words = "the same agent connected again elsewhere"
            commands = local.connection.close(CloseCode.REPLACED, words, now)
        if remote is not None and stamp < remote.stamp:
            return commands
        if note.watch is None:
            return commands + self._forget(key, now)
        known = remote.friends if remote is not None else set[str]()
        mutual = [local for name in note.watch if (local := self._here.get(name)) and _watches(local, key)]
        for gone in known - {local.connection.key for local in mutual}:
            commands.append(self._tell(self._here[gone], note.agent, PresenceState.OFFLINE, now))
            self._part(self._here[gone], key)
        for local in mutual:
            if self._join(local, note.agent, note.node, stamp):
                commands.append(self._tell(local, note.agent, PresenceState.ONLINE, now))
        if mutual:
            seen = tuple(Seen(local.connection.agent_id, *local.stamp) for local in mutual)
            commands += self._say(There(self.node, key, note.connection, seen))
        return commands

    def _on_there(self, note: There, now: int) -> list[Command]:
        """Others watch an agent here back, as it wanted to know."""
        local = self._here.get(note.to)
        if local is None or local.stamp.connection != note.connection:
            return []
        commands: list[Command] = []
        for seen in note.seen:
            key, stamp = agent_key(seen.agent), Stamp(seen.clock, seen.connection)
            known = self._there.get(key)
            if key in self._here or not _watches(local, key) or (known is not None and stamp < known.stamp):
                continue
            if self._join(local, seen.agent, note.node, stamp):
                commands.append(self._tell(local, seen.agent, PresenceState.ONLINE, now))
        return commands

    def _on_gone(self, note: Gone, now: int) -> list[Command]:
        """A connection elsewhere has ended; a newer one of the same agent is not concerned."""
        key = agent_key(note.agent)
        remote = self._there.get(key)
        if remote is None or remote.stamp != (note.clock, note.connection):
            return []
        return self._forget(key, now)

    # --- time, and NATS itself --------------------------------------------------------------------------

    def joined(self) -> list[Command]:
        """NATS is there, for the first time or again: all is announced anew."""
        self.is_joined = True
        self._announce_all()
        return self._say(Hello(self.node, self._clock))

    def cut_off(self, now: int) -> list[Command]:
        """NATS is gone: nobody elsewhere can be reached, and what was under way is not known to have arrived."""
        self.is_joined = False
        self._heard.clear()
        self._to_announce.clear()
        commands: list[Command] = []
        for key in list(self._there):
            commands += self._forget(key, now)
        for waiting in self._forwards.give_up():
            commands += self._settle(waiting, Outcome.UNKNOWN, now)
        return commands

    def ticked(self, now: int) -> list[Command]:
        """Time has passed; called about twice a second."""
        commands: list[Command] = []
        for waiting in self._forwards.overdue(now):
            commands += self._settle(waiting, Outcome.UNKNOWN, now)
        for node in [node for node, at in self._heard.items() if now - at >= SILENT_MS]:
            commands += self._lose(node, now)
        if now >= self._beat_at:
            self._beat_at = now + BEAT_MS
            commands += self._say(Beat(self.node, self._clock))
        for _ in range(min(ANNOUNCED_AT_ONCE, len(self._to_announce))):
            local = self._here.get(self._to_announce.popleft())
            if local is not None:
                commands += self._say(self._announcement(local))
        return commands

    def leaving(self) -> list[Command]:
        """This relay stops."""
        return self._say(Bye(self.node))

    # --- tables -----------------------------------------------------------------------------------------

    def _announce_all(self) -> None:
        self._to_announce = deque(self._here)

    def _announcement(self, local: _Local) -> Here:
        connection = local.connection
        watch = None if connection.watching is None else tuple(connection.watching)
        return Here(self.node, connection.agent_id, *local.stamp, watch)

    def _say(self, note: Note) -> list[Command]:
        """A note to all, while there is someone to carry it; who comes back announces all anyway."""
        return [Publish(NOTES, write(note), "")] if self.is_joined else []

    def _settle(self, waiting: Waiting, outcome: Outcome, now: int) -> list[Command]:
        if outcome is Outcome.UNKNOWN:
            self._relay.counters.unanswered_forwards_total += 1
        return waiting.sender.answered(waiting.message_id, waiting.message_type, outcome, now)

    def _join(self, local: _Local, agent_id: str, node: str, stamp: Stamp) -> bool:
        """Note that two watch each other; returns whether that is new."""
        key = agent_key(agent_id)
        remote = self._there.get(key)
        if remote is None:
            remote = self._there[key] = _Remote()
        remote.agent_id, remote.node, remote.stamp = agent_id, node, stamp
        is_new = key not in local.friends
        local.friends.add(key)
        remote.friends.add(local.connection.key)
        return is_new

    def _part(self, local: _Local, key: str) -> None:
        """Two do not watch each other any more."""
        local.friends.discard(key)
        remote = self._there[key]
        remote.friends.discard(local.connection.key)
        if not remote.friends:
            del self._there[key]

    def _forget(self, key: str, now: int) -> list[Command]:
        """An agent elsewhere is gone: its friends here are told."""
        remote = self._there.get(key)
        if remote is None:
            return []
        friends = [self._here[friend] for friend in sorted(remote.friends)]
        for local in friends:
            self._part(local, key)
        return [self._tell(local, remote.agent_id, PresenceState.OFFLINE, now) for local in friends]

    def _lose(self, node: str, now: int) -> list[Command]:
        """A relay is gone, and its agents with it."""
        self._heard.pop(node, None)
        commands: list[Command] = []
        for key in [key for key, remote in self._there.items() if remote.node == node]:
            commands += self._forget(key, now)
        return commands

    def _tell(self, local: _Local, agent_id: str, status: PresenceState, now: int) -> Command:
        return local.connection.tell_presence(agent_id, status, now)


def _watches(local: _Local, key: str) -> bool:
    watching = local.connection.watching
    return watching is not None and key in watching
