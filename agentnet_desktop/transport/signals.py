"""What goes into the client's connection machine, what comes out of it, and what it tells a face.

*Events* are what happened on the network or what a person asked for; *commands* are what the shell has to do
next; `Status` is what a status bar shows. Data only; see `connection` for the rules and `client` for the I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.wire.codec import Format
from relay.wire.envelope import Envelope


class State(StrEnum):
    """Where the connection stands, in the words that faces show."""

    OFFLINE = "OFFLINE"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    WAITING = "WAITING"  # a retry is due at `retry_at`
    STOPPED = "STOPPED"  # no retry without a person: see `reason`


@dataclass(frozen=True, slots=True)
class Status:
    """The connection as a status bar shows it.

    Attributes:
        state: see `State`.
        relay_url: the endpoint dialled.
        relay_name: as the relay calls itself; text from outside.
        connection_id: the relay's name for this connection; "" when there is none.
        insecure: the connection crosses a network without TLS.
        round_trip_ms: of the last heartbeat.
        retry_at: wall-clock ms of the next attempt, while WAITING.
        reason: one sentence for a person about what is wrong; "" while all is well.
        kind: a stable word for `reason`, such as UNREACHABLE or AUTHENTICATION_FAILED; "" while all is well.
        degraded: persistent trouble: longer heartbeats, JSON only.
        clock_skew_ms: own clock minus the relay's, when the relay told its time.
        connected_at: wall-clock ms of the CONNECTED that made this connection; None without one.
        max_message_bytes: the relay's limit for one envelope, in JSON form.
        reconnections: how often a connection was lost and made again since the start.
    """

    state: State
    relay_url: str
    relay_name: str = ""
    connection_id: str = ""
    insecure: bool = False
    round_trip_ms: float | None = None
    retry_at: int | None = None
    reason: str = ""
    kind: str = ""
    degraded: bool = False
    clock_skew_ms: int | None = None
    connected_at: int | None = None
    max_message_bytes: int = 65_536
    reconnections: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time on two clocks.

    Attributes:
        ticks: ms on a clock that only runs forward, for intervals.
        wall: ms since the Unix epoch, for what others read.
    """

    ticks: float
    wall: int


# ---------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Start:
    """Connect and stay connected."""


@dataclass(frozen=True, slots=True, repr=False)
class TokenReceived:
    """The token that `GetToken` asked for. `expires_at`: ms by the relay's clock, or None."""

    text: str
    expires_at: int | None = None
    invite: str | None = None


@dataclass(frozen=True, slots=True)
class TokenFailed:
    """No token can be had now.

    Attributes:
        reason: a sentence for a person.
        ended: none can be had before a person signs in again.
    """

    reason: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """The upgrade succeeded, in this format."""

    format: Format


@dataclass(frozen=True, slots=True)
class DialFailed:
    """No connection came about; `reason` is a few words, such as `connection refused`."""

    reason: str
    kind: str = "UNREACHABLE"


@dataclass(frozen=True, slots=True)
class Refused:
    """The relay answered the upgrade with an HTTP status instead of a connection.

    Attributes:
        status: the HTTP status.
        server_time: the relay's clock, ms since the epoch, if its body told it.
        retry_after_ms: the least time to wait, if its body told it.
    """

    status: int
    server_time: int | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class FromRelay:
    """An envelope whose sender is `system` came in on the live connection."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone. `code` is the WebSocket close code, 1006 when there was no closing frame."""

    code: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The machine's `deadline` has come (or it is checked early, which does no harm)."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """A person asks to try now."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """This machine has a network again, or another one."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Say goodbye and end."""


Event = (
    Start
    | TokenReceived
    | TokenFailed
    | Opened
    | DialFailed
    | Refused
    | FromRelay
    | Closed
    | Tick
    | Reconnect
    | NetworkChanged
    | Stop
)

# -------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class GetToken:
    """Ask the token source; answer with TokenReceived or TokenFailed. A newer GetToken replaces an older.

    Attributes:
        now_ms: the time for `iat` and `exp`.
        fresh: a kept token was refused, or is about to end.
    """

    now_ms: int
    fresh: bool


@dataclass(frozen=True, slots=True, repr=False)
class Dial:
    """Open a connection; answer with Opened, DialFailed or Refused, and later Closed."""

    token: str
    formats: tuple[Format, ...]
    invite: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Write:
    """Send `envelope`; `shown` is how a log may show it (an AUTH without its token)."""

    envelope: Envelope
    shown: Envelope


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the connection. `orderly`: with the closing handshake (1000); else drop it. No Closed follows."""

    orderly: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """The relay took the token: tell the token source."""


@dataclass(frozen=True, slots=True)
class Report:
    """The status changed."""

    status: Status


@dataclass(frozen=True, slots=True)
class Finished:
    """All is over: the shell may return."""


Command = GetToken | Dial | Write | Hangup | Accepted | Report | Finished
