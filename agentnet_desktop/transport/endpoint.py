"""The address of a relay: what a person may write, the whole endpoint dialled, and the origin tokens name.

Implements the endpoint and `aud` rules of docs/protocol.md, sections "Transport" and "Relay authentication".
Pure: looks nothing up; `localhost` and loopback literals are taken as local by their spelling.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

PATH = "/agent-network/v1/connect"
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_DEFAULT_PORTS = {"ws": 80, "wss": 443}


class BadEndpoint(ValueError):
    """The address cannot be used; the text is one sentence for a person."""


class InsecureEndpoint(BadEndpoint):
    """Plain `ws://` to another machine without the explicit opt-in."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A relay's address, taken apart.

    Attributes:
        url: the whole endpoint, `wss://HOST:PORT/agent-network/v1/connect`.
        base: the same without the endpoint's own path; the form that links name.
        origin: scheme, host and port, lower case, port always written; the `aud` of tokens.
        secure: True for `wss`.
        loopback: True when the host is this machine by its spelling.
    """

    url: str
    base: str
    origin: str
    secure: bool
    loopback: bool

    @property
    def exposed(self) -> bool:
        """True when the connection crosses a network without TLS: the window warns of it."""
        return not self.secure and not self.loopback


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_endpoint(address: str, *, insecure: bool = False) -> Endpoint:
    """Reads a relay's base address or whole endpoint.

    Args:
        address: `wss://host`, `wss://host:port/agent-network/v1/connect`, `ws://127.0.0.1:8765`; `https`
            and `http` are read as `wss` and `ws`; a path before the endpoint's own is kept.
        insecure: allows `ws://` to a host that is not this machine.

    Raises:
        BadEndpoint: the address is no such thing.
        InsecureEndpoint: it is plain `ws://` to another machine and `insecure` is False.
    """
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError as error:
        raise BadEndpoint(f"{address!r} is not a relay's address.") from error
    scheme = _SCHEMES.get(parts.scheme.lower())
    host = (parts.hostname or "").lower()
    if scheme is None or not host:
        raise BadEndpoint(f"{address!r} is not a relay's address; it looks like wss://relay.example.org.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadEndpoint(f"The relay's address may hold no user name, query or fragment: {address!r}.")
    shown = f"[{host}]" if ":" in host else host
    prefix = parts.path.rstrip("/").removesuffix(PATH)
    origin = f"{scheme}://{shown}:{_DEFAULT_PORTS[scheme] if port is None else port}"
    base = origin + prefix
    endpoint = Endpoint(base + PATH, base, origin, scheme == "wss", _is_loopback(host))
    if endpoint.exposed and not insecure:
        raise InsecureEndpoint(
            f"{address} is not encrypted, and {host} is another machine: use wss://, or allow it with --insecure."
        )
    return endpoint
