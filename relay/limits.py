"""How much one agent, one address and one slow reader may ask of the relay (docs/protocol.md 3.5).

Pure arithmetic on times that are passed in: token buckets (as a generic cell rate: one float each), caps on
connections, and the byte budget of a receiver that reads slowly. Nothing here knows a socket or a clock, and
nothing here is stored: a restarted relay starts with full buckets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TypeVar

import msgspec

V = TypeVar("V")


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a relay, each a setting. Defaults hold on a small VPS.

    Attributes:
        agent_messages_per_second, agent_messages_burst: messages of one agent.
        agent_bytes_per_second, agent_bytes_burst: bytes of one agent.
        address_messages_per_second, address_messages_burst: messages from one address (IPv6: one /64).
        address_bytes_per_second, address_bytes_burst: bytes from one address.
        address_connections_per_minute, address_connections_burst: new connections from one address.
        address_failures_per_minute, address_failures_burst: refused authentications from one address.
        handshakes_per_minute, handshakes_burst: HANDSHAKEs of one agent to those who do not watch it.
        connections: open connections in all.
        address_connections: open connections from one address.
        unauthenticated: connections in all that have not authenticated yet.
        address_unauthenticated: such connections from one address.
        refusals_before_close: messages over a limit within a minute that close the connection (4429).
        queue_bytes: bytes waiting for one receiver over which senders are told to wait.
        queue_bytes_max: bytes waiting for one receiver over which it is closed (4413).
        queue_seconds: how long a receiver may stay over `queue_bytes` before it is closed (4413).
    """

    agent_messages_per_second: float = 50
    agent_messages_burst: float = 1000
    agent_bytes_per_second: float = 1 << 20
    agent_bytes_burst: float = 16 << 20
    address_messages_per_second: float = 1000
    address_messages_burst: float = 10_000
    address_bytes_per_second: float = 8 << 20
    address_bytes_burst: float = 64 << 20
    address_connections_per_minute: float = 300
    address_connections_burst: float = 300
    address_failures_per_minute: float = 30
    address_failures_burst: float = 60
    handshakes_per_minute: float = 30
    handshakes_burst: float = 60
    connections: int = 10_000
    address_connections: int = 1000
    unauthenticated: int = 200
    address_unauthenticated: int = 100
    refusals_before_close: int = 200
    queue_bytes: int = 1 << 20
    queue_bytes_max: int = 4 << 20
    queue_seconds: float = 30


class Bucket:
    """A token bucket: `burst` tokens, refilled at `rate` tokens a second.

    Kept as the time at which the bucket will be full again, so an idle bucket needs no upkeep.
    """

    __slots__ = ("_full_at", "_ms_per_token", "_span")

    def __init__(self, rate: float, burst: float) -> None:
        self._ms_per_token = 1000.0 / rate
        self._span = burst * self._ms_per_token
        self._full_at = 0.0

    def take(self, tokens: float, now: int) -> int:
        """Take tokens.

        Args:
            tokens: how many.
            now: ms on a monotonic clock.

        Returns:
            0 when taken; else nothing was taken, and this is how many ms to wait at least.
        """
        after = max(self._full_at, now) + tokens * self._ms_per_token
        wait = after - now - self._span
        if wait > 0:
            return int(wait) + 1
        self._full_at = after
        return 0

    def put_back(self, tokens: float, now: int) -> None:
        """Put tokens back that were taken in advance."""
        self._full_at = max(now, self._full_at - tokens * self._ms_per_token)

    def is_full(self, now: int) -> bool:
        """Whether forgetting this bucket would change nothing."""
        return self._full_at <= now


class Meter:
    """What is counted for one agent or one address: messages and bytes, refused together."""

    __slots__ = ("_bytes", "_bytes_cost", "_bytes_span", "_message_cost", "_message_span", "_messages")

    def __init__(self, rate: float, burst: float, bytes_rate: float, bytes_burst: float) -> None:
        self._message_cost = 1000.0 / rate
        self._message_span = burst * self._message_cost
        self._bytes_cost = 1000.0 / bytes_rate
        self._bytes_span = bytes_burst * self._bytes_cost
        self._messages = 0.0
        self._bytes = 0.0

    def charge(self, size: int, now: int) -> int:
        """Charge one message.

        Args:
            size: its length in bytes.
            now: ms on a monotonic clock.

        Returns:
            0 when charged; else nothing was charged, and this is how many ms to wait at least.
        """
        # Spelled out, and all in floats, since this is done twice for every message.
        start, before, before_bytes = float(now), self._messages, self._bytes
        messages = before + self._message_cost if before > start else start + self._message_cost
        cost = size * self._bytes_cost
        octets = before_bytes + cost if before_bytes > start else start + cost
        if messages > start + self._message_span or octets > start + self._bytes_span:
            return int(max(messages - self._message_span, octets - self._bytes_span) - start) + 1
        self._messages = messages
        self._bytes = octets
        return 0

    def is_full(self, now: int) -> bool:
        """Whether forgetting this meter would change nothing."""
        return self._messages <= now and self._bytes <= now


class AddressMeter(Meter):
    """What is counted for one address beside its messages: connections, and refused authentications."""

    __slots__ = ("arrivals", "failures", "knocks", "open", "unauthenticated")

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            limits.address_messages_per_second,
            limits.address_messages_burst,
            limits.address_bytes_per_second,
            limits.address_bytes_burst,
        )
        self.arrivals = Bucket(limits.address_connections_per_minute / 60, limits.address_connections_burst)
        self.knocks = Bucket(limits.address_connections_per_minute / 30, 2 * limits.address_connections_burst)
        self.failures = Bucket(limits.address_failures_per_minute / 60, limits.address_failures_burst)
        self.open = 0
        self.unauthenticated = 0

    def is_full(self, now: int) -> bool:
        """Whether forgetting this meter would change nothing."""
        buckets = (self.arrivals, self.knocks, self.failures)
        return self.open == 0 and all(bucket.is_full(now) for bucket in buckets) and super().is_full(now)


class AgentMeter(Meter):
    """What is counted for one agent beside its messages: HANDSHAKEs to agents that do not watch it."""

    __slots__ = ("handshakes", "holders")

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            limits.agent_messages_per_second,
            limits.agent_messages_burst,
            limits.agent_bytes_per_second,
            limits.agent_bytes_burst,
        )
        self.handshakes = Bucket(limits.handshakes_per_minute / 60, limits.handshakes_burst)
        self.holders = 0

    def is_full(self, now: int) -> bool:
        """Whether forgetting this meter would change nothing."""
        return self.holders == 0 and self.handshakes.is_full(now) and super().is_full(now)


def address_group(address: str) -> str:
    """The address that limits are counted for: an IPv4 address, or the /64 of an IPv6 one.

    Args:
        address: as the socket or a trusted proxy names it; a zone (`%eth0`) is dropped.

    Returns:
        The group's name; anything that is no address is its own group.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


class Meters:
    """All meters of a relay, by agent and by address, and the counts of open connections."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0
        self.unauthenticated = 0
        self._agents: dict[str, AgentMeter] = {}
        self._addresses: dict[str, AddressMeter] = {}

    def address(self, group: str) -> AddressMeter:
        """The meter of an address group."""
        return _get(self._addresses, group, lambda: AddressMeter(self.limits))

    def agent(self, key: str) -> AgentMeter:
        """The meter of an agent, by its key (lower case)."""
        return _get(self._agents, key, lambda: AgentMeter(self.limits))

    def is_crowded(self, address: AddressMeter) -> bool:
        """Whether a connection from this address, counted already, is one too many."""
        limits = self.limits
        return (
            self.open > limits.connections
            or self.unauthenticated > limits.unauthenticated
            or address.open > limits.address_connections
            or address.unauthenticated > limits.address_unauthenticated
        )

    def hears(self, address: AddressMeter, now: int) -> bool:
        """Whether one more connection is heard at all; when not, it is cut off without an answer.

        It is not when twice as many wait unauthenticated as may, or twice as many have come as may.
        """
        limits = self.limits
        return (
            self.unauthenticated < 2 * limits.unauthenticated
            and address.unauthenticated < 2 * limits.address_unauthenticated
            and not address.knocks.take(1, now)
        )

    def opened(self, address: AddressMeter) -> None:
        """Count a new connection; it is unauthenticated."""
        self.open += 1
        self.unauthenticated += 1
        address.open += 1
        address.unauthenticated += 1

    def authenticated(self, address: AddressMeter) -> None:
        """Count a connection out of the unauthenticated ones."""
        self.unauthenticated -= 1
        address.unauthenticated -= 1

    def closed(self, address: AddressMeter, *, authenticated: bool) -> None:
        """Count a connection out."""
        if not authenticated:
            self.authenticated(address)
        self.open -= 1
        address.open -= 1

    def prune(self, now: int) -> None:
        """Forget every meter that is as good as new."""
        for agent in [key for key, meter in self._agents.items() if meter.is_full(now)]:
            del self._agents[agent]
        for group in [key for key, meter in self._addresses.items() if meter.is_full(now)]:
            del self._addresses[group]


def _get(table: dict[str, V], key: str, make: Callable[[], V]) -> V:
    value = table.get(key)
    if value is None:
        value = table[key] = make()
    return value


class Backlog:
    """The bytes that wait for one receiver.

    The shell keeps `waiting` true to its transport; the connection asks before it adds.
    """

    __slots__ = ("over_since", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.over_since = 0

    def has_room(self, size: int, limits: Limits, now: int) -> bool:
        """Whether `size` more bytes may wait; when not, the time until the receiver catches up is counted."""
        if self.waiting + size <= limits.queue_bytes:
            return True
        self.over_since = self.over_since or now
        return False

    def is_slow(self, limits: Limits, now: int) -> bool:
        """Whether the receiver has broken its bounds and must be closed (4413).

        Args:
            limits: the relay's limits.
            now: ms on a monotonic clock; the time over `queue_bytes` is counted between calls.
        """
        if self.waiting > limits.queue_bytes_max:
            return True
        if self.waiting > limits.queue_bytes:
            self.over_since = self.over_since or now
        elif self.waiting <= limits.queue_bytes // 2:
            self.over_since = 0
        return self.over_since > 0 and now - self.over_since >= limits.queue_seconds * 1000
