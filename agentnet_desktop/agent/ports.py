"""The edges of an agent: what it needs from outside, as protocols, so that tests can stand in for each.

Three edges: the client that holds the connection to the relay (`transport.client.RelayClient`, or the
in-memory one of the tests' simulator), the source of free time (`calendars`), and the keeper of the log's head (the
key store). This module decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentnet_desktop.calendars.hours import Span
from relay.wire.codec import Decoded, Format
from relay.wire.envelope import Envelope
from relay.wire.errors import WireError

Clock = Callable[[], int]  # milliseconds since the Unix epoch, UTC
Random = Callable[[int], bytes]  # n random bytes

OnFrame = Callable[[list[Decoded | WireError], bytes], None]
OnSent = Callable[[Sequence[Envelope]], None]


class ConnectionLike(Protocol):
    """What a client tells of its connection: the fields of `events.ConnectionView`, by the same names, and more."""

    @property
    def state(self) -> str:
        """A word of `events.ConnectionState`."""

    @property
    def relay_url(self) -> str:
        """The endpoint."""

    @property
    def relay_name(self) -> str:
        """As the relay calls itself."""

    @property
    def connection_id(self) -> str:
        """As the relay calls this connection."""

    @property
    def insecure(self) -> bool:
        """Whether it crosses a network without TLS."""

    @property
    def round_trip_ms(self) -> float | None:
        """Of the last heartbeat."""

    @property
    def retry_at(self) -> int | None:
        """When the next attempt is due, milliseconds."""

    @property
    def reason(self) -> str:
        """One sentence about what is wrong, or nothing."""

    @property
    def kind(self) -> str:
        """A stable word for the reason, or nothing."""

    @property
    def degraded(self) -> bool:
        """Whether trouble persists."""

    @property
    def clock_skew_ms(self) -> int | None:
        """Own clock minus the relay's."""

    @property
    def max_message_bytes(self) -> int:
        """The relay's limit for one envelope, in JSON form."""


OnState = Callable[[ConnectionLike], None]


class Client(Protocol):
    """One connection to the relay that keeps itself alive. All calls are made on the loop's thread."""

    @property
    def format(self) -> Format | None:
        """What the connection speaks; None without one."""

    async def run(self) -> None:
        """Connects and reconnects until stopped; never raises for network trouble."""

    def send(self, envelopes: Sequence[Envelope]) -> bool:
        """Encodes and writes what is ready, batched; False when there is no connection (nothing was sent)."""

    async def stop(self) -> None:
        """Sends DISCONNECT, waits for its acknowledgement and the close."""

    def reconnect_now(self) -> None:
        """Ends a wait for the next attempt at once."""


class ClientFactory(Protocol):
    """Builds the client, given where its news go."""

    def __call__(self, *, on_frame: OnFrame, on_state: OnState, on_sent: OnSent) -> Client:
        """Returns a client that has not connected yet.

        Args:
            on_frame: called for each received frame with its decoded elements and its bytes, in order.
            on_state: called whenever the connection's state changes. CONNECTED is told after the relay's
                CONNECTED message was handed to `on_frame`.
            on_sent: called with what the client sends on its own account (AUTH without its token,
                HEARTBEAT, DISCONNECT), so that the log shows it.
        """


class Availability(Protocol):
    """A source of free time: working hours now, real calendars later."""

    @property
    def time_zone(self) -> str:
        """IANA name of the person's zone."""

    def free(self, start: int, end: int, busy: Sequence[Span]) -> list[Span]:
        """Returns the free stretches within [start, end), in order, without those in `busy`."""


class HeadNotKept(Exception):
    """The keeper refused. Its text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class KeptHead:
    """The log's newest head that was put into safety: entry `seq` has `entry_hash` (32 bytes), signed (64 bytes)."""

    seq: int
    entry_hash: bytes
    signature: bytes


class HeadKeeper(Protocol):
    """A place for the log's newest head that does not come back with an old copy of the database."""

    async def save(self, head: KeptHead) -> None:
        """Replaces what was kept.

        Raises:
            HeadNotKept: the place refused; what was kept stays.
        """

    async def load(self) -> KeptHead | None:
        """Returns what was kept, or None where nothing ever was.

        Raises:
            HeadNotKept: it cannot be read.
        """
