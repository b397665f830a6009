"""Can the relay's public address be reached from here? One attempt, step by step, and what each failure means.

`probe` blocks and belongs on a thread. It sends one request for the relay's page, and no token. What can be said from
this machine is said: whether a guest elsewhere gets through depends on routers between, which nobody here sees. No Qt.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_LIMIT_S = 5.0
_MARK = b"AgentNet relay"
_LONGEST = 65_536


class Step(StrEnum):
    """How far an attempt came; each is the one that failed, but the last."""

    NAME = "name"  # the name has no address
    CONNECT = "connect"  # nobody listens there, or a firewall swallows it
    CERTIFICATE = "certificate"  # somebody answers with another certificate, or one that nobody trusts
    TLS = "tls"  # what answers does not speak TLS
    ANSWER = "answer"  # something answers that is no relay
    REACHED = "reached"


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of one attempt.

    Attributes:
        step: Where it ended.
        detail: The system's words for the failure; "" when it was reached.
        found: The address behind the name; "" when there was none.
        certificate_until: When the certificate that was shown expires, as OpenSSL writes it; "" when not known.
    """

    step: Step
    detail: str = ""
    found: str = ""
    certificate_until: str = ""


def probe(origin: str, pinned: bytes | None = None, *, limit_s: float = _LIMIT_S) -> Probe:
    """Try to reach a relay's address, as a guest would.

    Args:
        origin: As in `wss://relay.example.org:443`.
        pinned: The self-signed certificate that must be shown, DER; None where the platform's trust decides.
        limit_s: Seconds for each step.
    """
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or 443
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        return Probe(Step.NAME, _words(error))
    found = str(place[0])
    made = socket.socket(family, kind)
    with made:
        made.settimeout(limit_s)
        try:
            made.connect(place)
        except OSError as error:
            return Probe(Step.CONNECT, _words(error), found)
        if parts.scheme == "wss":
            return _encrypted(made, host, pinned, found)
        return _ask(made, host, found, "")


def _encrypted(made: socket.socket, host: str, pinned: bytes | None, found: str) -> Probe:
    context = ssl.create_default_context()
    if pinned is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin stands for chain and name
    try:
        with context.wrap_socket(made, server_hostname=host) as secure:
            if pinned is not None and secure.getpeercert(binary_form=True) != pinned:
                return Probe(Step.CERTIFICATE, "", found)
            shown = secure.getpeercert() or {}
            return _ask(secure, host, found, str(shown.get("notAfter", "")))
    except ssl.SSLCertVerificationError as error:
        return Probe(Step.CERTIFICATE, error.verify_message, found)
    except OSError as error:
        return Probe(Step.TLS, _words(error), found)


def _ask(made: socket.socket, host: str, found: str, until: str) -> Probe:
    """Ask for the relay's page, and see that it is one."""
    shown = f"[{host}]" if ":" in host else host
    try:
        made.sendall(f"GET / HTTP/1.1\r\nHost: {shown}\r\nConnection: close\r\n\r\n".encode("ascii"))
        answer = b""
        while len(answer) < _LONGEST and _MARK not in answer:
            piece = made.recv(4096)
            if not piece:
                break
            answer += piece
    except OSError as error:
        return Probe(Step.ANSWER, _words(error), found, until)
    if _MARK in answer:
        return Probe(Step.REACHED, "", found, until)
    status = answer.split(b"\r\n", 1)[0][:80].decode("ascii", "replace")
    return Probe(Step.ANSWER, status, found, until)


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    return (error.strerror or str(error)).lower()
