"""Opens one WebSocket to a relay, and says in words why it could not.

Implements the upgrade of docs/protocol.md, section "Transport": token and agentId in headers, the subprotocols in
order of preference, TLS with the platform's trust or with a pinned key. It does not retry and keeps no state.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import logging
import socket
import ssl
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from agentnet_desktop.transport.endpoint import Endpoint
from agentnet_desktop.transport.signals import DialFailed, Refused
from relay.wire.codec import Format, frame_limit

OPEN_S = 10.0
CLOSE_S = 3.0
# An operator may set maxMessageBytes to 1 MiB; what the relay announced is checked for each envelope later.
LARGEST_FRAME = frame_limit(1024 * 1024)
# At DEBUG the library writes the request with its token: it never gets that far.
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)
_LARGEST_BODY = 16 * 1024


class WrongCertificate(OSError):
    """The relay shows another key than the one the invite pinned."""


def spki_sha256(certificate: bytes) -> str:
    """Returns the hex SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).

    Args:
        certificate: DER.
    """
    from cryptography import x509  # costs 60 ms, and few relays are pinned
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


class _Dialling(connect):
    """Never follows a redirect: a token is for the address that was dialled."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _pinned(pin: str) -> type[ClientConnection]:
    """Makes the kind of connection that checks the relay's key before it says a word."""

    class Pinned(ClientConnection):
        async def handshake(self, *args: Any, **kwargs: Any) -> None:
            shown = self.transport.get_extra_info("ssl_object")
            certificate = shown.getpeercert(binary_form=True) if shown is not None else None
            if not certificate or not hmac.compare_digest(spki_sha256(certificate), pin.lower()):
                raise WrongCertificate("the relay's certificate is not the one that the invite names")
            await super().handshake(*args, **kwargs)

    return Pinned


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _pinned_context() -> ssl.SSLContext:
    """The pin stands for the chain and the name: a self-signed certificate has neither."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def format_of(connection: ClientConnection) -> Format:
    """Returns the negotiated format; JSON when the relay chose none."""
    for fmt in Format:
        if connection.subprotocol == fmt.subprotocol:
            return fmt
    return Format.JSON


async def dial(
    endpoint: Endpoint,
    *,
    agent_id: str,
    token: str,
    invite: str | None,
    formats: Sequence[Format],
    tls_pin: str | None,
) -> ClientConnection | DialFailed | Refused:
    """Opens a connection.

    Args:
        endpoint: where to.
        agent_id: for `X-Agent-Id`.
        token: for `Authorization`.
        invite: for `X-Agent-Invite`, beside a token that cannot carry it.
        formats: what to offer, best first.
        tls_pin: hex SHA-256 of the SPKI to accept instead of the platform's trust.

    Returns:
        The open connection, the relay's refusal, or why there was neither.
    """
    options: dict[str, Any] = {}
    if endpoint.secure:
        options["ssl"] = _pinned_context() if tls_pin else _trust()
    headers = {"Authorization": f"Bearer {token}", "X-Agent-Id": agent_id}
    if invite is not None:
        headers["X-Agent-Invite"] = invite
    try:
        return await _Dialling(
            endpoint.url,
            subprotocols=[Subprotocol(fmt.subprotocol) for fmt in formats],
            additional_headers=headers,
            user_agent_header=None,
            logger=_log,
            compression=None,
            proxy=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=None,
            max_size=LARGEST_FRAME,
            create_connection=_pinned(tls_pin) if tls_pin and endpoint.secure else None,
            **options,
        )
    except InvalidStatus as refusal:
        return _refusal(refusal.response.status_code, bytes(refusal.response.body or b""))
    except (OSError, EOFError, WebSocketException) as error:
        return explain(error, endpoint)


def _refusal(status: int, body: bytes) -> Refused:
    """Reads what the relay says with its refusal; a body that is no such thing says nothing."""
    try:
        content = json.loads(body[:_LARGEST_BODY])
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return Refused(status)
    return Refused(status, _whole(content.get("serverTime")), _whole(content.get("retryAfter")))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def explain(error: Exception, endpoint: Endpoint) -> DialFailed:
    """Puts a failure to connect into a few words for a person, and one stable word for programs."""
    place = urlsplit(endpoint.url).netloc
    match error:
        case WrongCertificate():
            return DialFailed(str(error), "TLS")
        case ssl.SSLCertVerificationError():
            return DialFailed(f"the certificate of {place} is not trusted ({error.verify_message})", "TLS")
        case ssl.SSLError():
            return DialFailed(f"no encrypted connection to {place} came about", "TLS")
        case socket.gaierror():
            return DialFailed(f"the name in {place} is not known", "DNS")
        case TimeoutError():
            return DialFailed(f"{place} does not answer", "TIMEOUT_ERROR")
        case ConnectionRefusedError():
            return DialFailed(f"nothing listens at {place}", "UNREACHABLE")
        case OSError() if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
            return DialFailed(f"there is no network on the way to {place}", "NO_NETWORK")
        case OSError():
            return DialFailed(f"no connection to {place} came about", "UNREACHABLE")
        case _:
            return DialFailed(f"what answers at {place} does not speak WebSocket", "NOT_A_RELAY")
