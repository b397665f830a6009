"""Every error code and close code of the protocol, and what each means to a client.

Implements docs/protocol.md section 12 (errors) and section 3.6 (close codes). One table, `ERRORS`, says for
each code whether trying again can help, after how long, and what the client does. `WireError` is what the
wire code raises, or returns as a batch element's outcome, when bytes do not fit the protocol.

This module does not build ERROR envelopes (`control.error_envelope` does) and acts on nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any


class ErrorCode(StrEnum):
    """The words that may stand in `errorCode` of an ERROR and in `error.code` of a RESPONSE."""

    CONNECTION_ERROR = "CONNECTION_ERROR"
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR"
    TIMEOUT_ERROR = "TIMEOUT_ERROR"
    MESSAGE_ERROR = "MESSAGE_ERROR"
    ENCRYPTION_ERROR = "ENCRYPTION_ERROR"
    INVALID_MESSAGE_FORMAT = "INVALID_MESSAGE_FORMAT"
    SENDER_MISMATCH = "SENDER_MISMATCH"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    CONNECTION_LIMIT_EXCEEDED = "CONNECTION_LIMIT_EXCEEDED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    RECIPIENT_NOT_FOUND = "RECIPIENT_NOT_FOUND"
    SERVER_ERROR = "SERVER_ERROR"
    UNAVAILABLE_DATA = "UNAVAILABLE_DATA"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INVALID_PARAMETERS = "INVALID_PARAMETERS"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class ClientAction(StrEnum):
    """What a client does about an error; one word per strategy of the document."""

    RECONNECT = "RECONNECT"  # reconnect with backoff
    RENEW_TOKEN = "RENEW_TOKEN"  # obtain a fresh token, then try again
    RETRY_LONGER = "RETRY_LONGER"  # try again, allowing more time
    RETRY = "RETRY"  # send the same bytes again on the retry schedule
    CHECK_KEYS = "CHECK_KEYS"  # verify the peer's key; a new handshake if the session is what failed
    RESEND_ONCE = "RESEND_ONCE"  # log; encode again (in JSON) and send once more; then fail
    SLOW_DOWN = "SLOW_DOWN"  # send less, and try again after the delay
    QUEUE = "QUEUE"  # keep it queued until the recipient is online
    FAIL = "FAIL"  # end the message, and tell the person
    TELL = "TELL"  # an answer, not a fault: show it to the person


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """What one error code means.

    Attributes:
        code: The code.
        recoverable: Whether trying again can help.
        retry_after_ms: Suggested delay before trying again, in ms; 0 where trying again does not help.
        client_action: What the client does.
    """

    code: ErrorCode
    recoverable: bool
    retry_after_ms: int
    client_action: ClientAction


def _table(*rows: tuple[ErrorCode, bool, int, ClientAction]) -> Mapping[ErrorCode, ErrorMeaning]:
    return MappingProxyType({row[0]: ErrorMeaning(*row) for row in rows})


ERRORS: Mapping[ErrorCode, ErrorMeaning] = _table(
    (ErrorCode.CONNECTION_ERROR, True, 1_000, ClientAction.RECONNECT),
    (ErrorCode.AUTHENTICATION_ERROR, True, 1_000, ClientAction.RENEW_TOKEN),
    (ErrorCode.TIMEOUT_ERROR, True, 10_000, ClientAction.RETRY_LONGER),
    (ErrorCode.MESSAGE_ERROR, True, 5_000, ClientAction.RETRY),
    (ErrorCode.ENCRYPTION_ERROR, True, 5_000, ClientAction.CHECK_KEYS),
    (ErrorCode.INVALID_MESSAGE_FORMAT, True, 1_000, ClientAction.RESEND_ONCE),
    (ErrorCode.SENDER_MISMATCH, False, 0, ClientAction.FAIL),
    (ErrorCode.AUTHENTICATION_FAILED, True, 1_000, ClientAction.RENEW_TOKEN),
    (ErrorCode.CONNECTION_LIMIT_EXCEEDED, True, 30_000, ClientAction.RECONNECT),
    (ErrorCode.RATE_LIMIT_EXCEEDED, True, 5_000, ClientAction.SLOW_DOWN),
    (ErrorCode.RECIPIENT_NOT_FOUND, True, 300_000, ClientAction.QUEUE),
    (ErrorCode.SERVER_ERROR, True, 5_000, ClientAction.RETRY),
    (ErrorCode.UNAVAILABLE_DATA, False, 0, ClientAction.TELL),
    (ErrorCode.PERMISSION_DENIED, False, 0, ClientAction.TELL),
    (ErrorCode.INVALID_PARAMETERS, False, 0, ClientAction.TELL),
    (ErrorCode.INTERNAL_ERROR, True, 60_000, ClientAction.TELL),
)
"""Every code, exactly once."""


class CloseCode(IntEnum):
    """WebSocket close codes and what follows from each."""

    NORMAL = 1000  # after DISCONNECT and its acknowledgement
    GOING_AWAY = 1001  # the relay drains
    TOO_BIG = 1009  # a frame over twice maxMessageBytes
    PROTOCOL_VIOLATION = 4400
    UNAUTHENTICATED = 4401  # authentication failed or expired
    TIMED_OUT = 4408  # no AUTH in time, or idle
    REPLACED = 4409  # the same agent connected elsewhere
    SLOW_CONSUMER = 4413
    RATE_LIMITED = 4429
    CONNECTION_LIMIT = 4503

    @property
    def retryable(self) -> bool:
        """Whether a client reconnects by itself, with backoff, after this close."""
        return self in _RETRYABLE

    @property
    def needs_fresh_token(self) -> bool:
        """Whether a client may reconnect by itself once it has a fresh token."""
        return self is CloseCode.UNAUTHENTICATED


_RETRYABLE = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.TIMED_OUT,
        CloseCode.SLOW_CONSUMER,
        CloseCode.RATE_LIMITED,
        CloseCode.CONNECTION_LIMIT,
    }
)


class WireError(Exception):
    """Bytes or fields that do not fit the protocol.

    Attributes:
        code: What an ERROR about it says; almost always INVALID_MESSAGE_FORMAT.
        field: Dotted path of the offending field, such as `content.publicKey`; "frame" for a whole frame.
        reason: What is wrong with it, in words that hold no secret and none of the offending value.
        message_id: `messageId` of the offending envelope, where it could be read.
        details: Further members for the ERROR's `details`, such as `limit`.
    """

    def __init__(
        self,
        field: str,
        reason: str,
        *,
        code: ErrorCode = ErrorCode.INVALID_MESSAGE_FORMAT,
        message_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{field}: {reason}")
        self.code = code
        self.field = field
        self.reason = reason
        self.message_id = message_id
        self.details: dict[str, Any] = dict(details or {})

    def error_details(self) -> dict[str, Any]:
        """`details` of the ERROR that answers it: the field, the reason, and the message where known."""
        found = {"field": self.field, "reason": self.reason, **self.details}
        if self.message_id is not None:
            found["originalMessageId"] = self.message_id
        return found
