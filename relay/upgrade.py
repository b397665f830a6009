"""What the relay reads of an HTTP request, and what it answers over HTTP (docs/protocol.md 3.1).

Pure: a request that `websockets` has parsed goes in, and what it asks for, or a response, comes out. The
handshake of RFC 6455 itself is `websockets`' own.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from relay.wire.codec import Format

ENDPOINT: Final = "/agent-network/v1/connect"
_BEARER: Final = "bearer "
_FORMATS: Final = {Subprotocol(fmt.subprotocol): fmt for fmt in Format}
_LANDING: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>AgentNet relay</title>
<meta name="viewport" content="width=device-width">
<body style="font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em">
<h1>AgentNet relay</h1>
<p>This is a relay of AgentNet. It passes sealed messages between agents that arrange meetings for their
people. It cannot read them, and it stores none.</p>
<p>To use it, ask whoever runs it for an invite link, and open that link in AgentNet Desktop.</p>
"""


@dataclass(frozen=True)
class Asked:
    """What an upgrade request asks for.

    Attributes:
        token: from `Authorization: Bearer`, or None when AUTH is to follow.
        agent_id: from `X-Agent-Id`, else `?agentId=`, else "".
        invite: from `X-Agent-Invite`, or None.
    """

    token: str | None = field(repr=False)
    agent_id: str
    invite: str | None = field(repr=False)


def _header(headers: Headers, name: str) -> str | None:
    try:
        return headers.get(name)
    except MultipleValuesError:
        return ""


def asked(request: Request) -> Asked:
    """Read a request to the endpoint. An `Authorization` that is no bearer token reads as an empty token."""
    authorization = _header(request.headers, "Authorization")
    token = None
    if authorization is not None:
        is_bearer = authorization.lower().startswith(_BEARER)
        token = authorization[len(_BEARER) :].strip() if is_bearer else ""
    named = _header(request.headers, "X-Agent-Id")
    if named is None:
        named = parse_qs(urlsplit(request.path).query).get("agentId", [""])[0]
    return Asked(token, named, _header(request.headers, "X-Agent-Invite"))


def choose_subprotocol(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The client's first choice among ours; JSON is assumed when it offers none.

    Args:
        protocol: whose negotiation this is; `websockets` passes it.
        offered: in the client's order.

    Raises:
        NegotiationError: it offers only others.
    """
    del protocol
    if not offered:
        return None
    for name in offered:
        if name in _FORMATS:
            return name
    raise NegotiationError("no common subprotocol; this relay speaks " + ", ".join(_FORMATS))


def format_of(subprotocol: Subprotocol | None) -> Format:
    """The format that a negotiated subprotocol means."""
    return Format.JSON if subprotocol is None else _FORMATS[subprotocol]


def refusal(protocol: ServerProtocol, status: int, content: dict[str, Any]) -> Response:
    """A refused upgrade: the ERROR content as the body; `Retry-After` where waiting helps."""
    response = protocol.reject(HTTPStatus(status), json.dumps(content, separators=(",", ":")) + "\n")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    elif content.get("retryAfter"):
        response.headers["Retry-After"] = str(-(-int(content["retryAfter"]) // 1000))
    return response


def page(protocol: ServerProtocol, request: Request) -> Response | None:
    """The answer to a request that is not for the endpoint: the landing page or 404; else None."""
    path = urlsplit(request.path).path
    if path == ENDPOINT:
        return None
    if path != "/" or request.method not in ("GET", "HEAD"):
        return protocol.reject(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
    response = protocol.reject(HTTPStatus.OK, _LANDING)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.method == "HEAD":
        response.body = b""
    return response


def client_address(
    request: Request, peer: str, trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> str:
    """The client's address: the last in X-Forwarded-For that is not one of our proxies'.

    Args:
        request: the upgrade request.
        peer: the socket's address.
        trusted: the networks of the proxies that are believed.
    """
    forwarded = ",".join(request.headers.get_all("X-Forwarded-For"))
    address = peer
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not is_trusted(address, trusted):
            break
        address = hop
    return address


def is_trusted(address: str, trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether an address belongs to one of the proxies that are believed."""
    if not trusted:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in trusted if network.version == parsed.version)
