"""Who is connected where, and who watches whom (docs/protocol.md 3.5).

One connection an agent: the newest wins. Watch sets belong to a connection and are gone with it. Pure: it
keeps tables and names those concerned; it sends nothing. What lies beyond this process is not known here.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar


class Peer(Protocol):
    """What the router needs to know of a connection."""

    key: str
    watching: frozenset[str] | None


P = TypeVar("P", bound=Peer)


class WatchChange(NamedTuple, Generic[P]):
    """What a new watch set changes.

    Attributes:
        mutual: connections that watch back: the watcher is told that they are ONLINE.
        gained: those among them for whom the pair is new: they are told that the watcher is ONLINE.
        lost: connections that watch the watcher and are no longer watched: told that it is OFFLINE.
    """

    mutual: list[P]
    gained: list[P]
    lost: list[P]


class Router(Generic[P]):
    """The connections of this relay, by agent key (the agentId in lower case)."""

    def __init__(self) -> None:
        self.online: dict[str, P] = {}

    def attach(self, peer: P) -> P | None:
        """Make this the agent's connection.

        Returns:
            The connection that it replaces, already detached, or None.
        """
        replaced = self.online.get(peer.key)
        self.online[peer.key] = peer
        return replaced

    def detach(self, peer: P) -> bool:
        """Forget a connection.

        Returns:
            Whether the agent is offline now; False when another connection has taken its place.
        """
        if self.online.get(peer.key) is not peer:
            return False
        del self.online[peer.key]
        return True

    def find(self, key: str) -> P | None:
        """The agent's connection, or None when it is offline or unknown."""
        return self.online.get(key)

    def mutual(self, peer: P) -> list[P]:
        """The connections that this one watches and that watch it."""
        if peer.watching is None:
            return []
        found = (self.online.get(key) for key in peer.watching)
        return [other for other in found if other and other.watching and peer.key in other.watching]

    def watch(self, peer: P, keys: frozenset[str]) -> WatchChange[P]:
        """Replace a connection's watch set.

        Args:
            peer: the watching connection.
            keys: agent keys; its own is ignored.
        """
        before = self.mutual(peer)
        peer.watching = keys - {peer.key}
        after = self.mutual(peer)
        known, kept = {id(other) for other in before}, {id(other) for other in after}
        return WatchChange(
            after,
            [other for other in after if id(other) not in known],
            [other for other in before if id(other) not in kept],
        )
