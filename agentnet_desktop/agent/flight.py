"""What is in flight: messages sent on this connection and not yet settled, and who may send more.

So many at once are sent and no more, so that a burst does not flood the relay. A peer that takes messages and never
acknowledges them must not use up the room of all others: however full it is, everybody else has room for a few.
Lives in memory; the outbox is the truth, and `replace` brings the two together again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from relay.wire.envelope import agent_key

FEW = 8  # what a peer may have in flight though others fill the room


class Flight:
    """The messages in flight, by peer."""

    def __init__(self, most: Callable[[], int]) -> None:
        """Makes an empty sky.

        Args:
            most: tells how many may be in flight at once.
        """
        self._most = most
        self._peers: dict[str, str] = {}  # by message id
        self._counts: Counter[str] = Counter()

    def __contains__(self, message_id: object) -> bool:
        """Tells whether a message is in flight."""
        return message_id in self._peers

    def add(self, message_id: str, peer: str) -> None:
        """Notes that a message was sent."""
        self.discard(message_id)
        self._peers[message_id] = agent_key(peer)
        self._counts[agent_key(peer)] += 1

    def discard(self, message_id: str) -> None:
        """Notes that a message is not on its way any more; unknown ones too."""
        peer = self._peers.pop(message_id, None)
        if peer is not None:
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]

    def replace(self, peers: Mapping[str, str]) -> None:
        """Takes over what is in flight by the outbox: peers by message id."""
        self._peers = {message_id: agent_key(peer) for message_id, peer in peers.items()}
        self._counts = Counter(self._peers.values())

    def has_room(self, peer: str | None = None) -> bool:
        """Tells whether one more may be sent, to anybody or to a peer."""
        if len(self._peers) < self._most():
            return True
        return peer is not None and self._counts[agent_key(peer)] < self._few()

    def full(self) -> list[str]:
        """Returns the peers to whom no more may be sent now, beside those who have nothing in flight."""
        if self.has_room():
            return []
        return [peer for peer, count in self._counts.items() if count >= self._few()]

    def _few(self) -> int:
        return min(FEW, self._most())
