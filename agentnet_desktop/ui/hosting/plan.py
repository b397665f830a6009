"""How the bundled relay is to be reached, and how that is written into its `relay.toml`.

The window changes only the keys that it shows; what the host wrote there by hand stays, its comments excepted. The
relay itself reads and judges the file (docs/self-hosting.md, "Settings"). Pure: no Qt, no file, no socket.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

_HEAD = "# Settings of the relay; AgentNet Desktop writes this file. `agentnet-relay config print` shows every key.\n"
_OURS = ("host", "port", "name", "public_url", "tls_self_signed", "trusted_proxies")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_LOOPBACK = ("127.0.0.1", "::1")
_PROXY_PORT = 443
_EVERY_INTERFACE = str(ipaddress.IPv4Address(0))


class Reach(StrEnum):
    """Who can reach the relay."""

    MACHINE = "machine"  # programs on this machine
    NETWORK = "network"  # everyone in the home network, and the internet where the router forwards the port
    PROXY = "proxy"  # everyone, through a proxy on this machine that does TLS


class AddressFault(StrEnum):
    """What is wrong with a public address that a person typed."""

    EMPTY = "empty"
    MALFORMED = "malformed"
    LOOPBACK = "loopback"
    UNENCRYPTED = "unencrypted"
    NO_PORT = "no-port"  # guests need a port that stays


class BadAddress(ValueError):
    """The public address cannot be used; `fault` says why."""

    def __init__(self, fault: AddressFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Plan:
    """What the host chose.

    Attributes:
        port: Where the relay listens; 0 picks a free one.
        name: How guests see it.
        reach: Who can reach it.
        address: The public address as it was typed; not looked at for `Reach.MACHINE`.
        self_signed: The relay makes a certificate itself, and invite links carry its pin. Only for `Reach.NETWORK`.
    """

    port: int
    name: str
    reach: Reach = Reach.MACHINE
    address: str = ""
    self_signed: bool = True


def public_origin(plan: Plan) -> str:
    """Give the address that links name, as in `wss://192.168.1.10:8765`; "" for this machine only.

    Raises:
        BadAddress: the typed address cannot be used.
    """
    if plan.reach is Reach.MACHINE:
        return ""
    if plan.port == 0:
        raise BadAddress(AddressFault.NO_PORT)
    typed = plan.address.strip()
    if not typed:
        raise BadAddress(AddressFault.EMPTY)
    scheme, host, port = _parts(typed)
    encrypted = plan.reach is Reach.PROXY or plan.self_signed
    if scheme == "ws" and encrypted:
        raise BadAddress(AddressFault.UNENCRYPTED)
    if _is_loopback(host):
        raise BadAddress(AddressFault.LOOPBACK)
    usual = _PROXY_PORT if plan.reach is Reach.PROXY else plan.port
    shown = f"[{host}]" if ":" in host else host
    return f"{'wss' if encrypted else 'ws'}://{shown}:{port or usual}"


def _parts(typed: str) -> tuple[str, str, int | None]:
    """Take a typed address apart: scheme or "", host, port."""
    bare = typed if "://" in typed else f"//{typed}"
    if typed.count(":") > 1 and "://" not in typed and not typed.startswith("["):
        bare = f"//[{typed}]"  # an IPv6 address without its brackets
    try:
        split = urlsplit(bare)
        host, port = (split.hostname or "").lower(), split.port
    except ValueError:
        raise BadAddress(AddressFault.MALFORMED) from None
    scheme = {"http": "ws", "https": "wss"}.get(split.scheme, split.scheme)
    extra = split.path.strip("/") or split.query or split.fragment or split.username
    if scheme not in ("", "ws", "wss") or extra or port == 0 or not _is_host(host):
        raise BadAddress(AddressFault.MALFORMED)
    return scheme, host, port


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        looks_numeric = not any(character.isalpha() for character in host)
        return bool(_NAME.fullmatch(host)) and not looks_numeric
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def is_local_address(url: str) -> bool:
    """Tell whether a relay's unencrypted address means this machine itself."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "ws" and _is_loopback(parts.hostname or "")
    except ValueError:
        return False


def settings_of(plan: Plan) -> dict[str, Any]:
    """Give the relay's settings for a plan: only those that differ from its defaults.

    The loopback address stays one of the public ones, so that an agent on this machine keeps its connection.

    Raises:
        BadAddress: the typed address cannot be used.
    """
    origin = public_origin(plan)
    made: dict[str, Any] = {"port": plan.port, "name": plan.name}
    if plan.reach is Reach.MACHINE:
        return made
    scheme = "wss" if plan.reach is Reach.NETWORK and plan.self_signed else "ws"
    made["public_url"] = [origin, f"{scheme}://127.0.0.1:{plan.port}"]
    if plan.reach is Reach.PROXY:
        made["trusted_proxies"] = list(_LOOPBACK)
    else:
        made["host"] = _EVERY_INTERFACE
        if plan.self_signed:
            made["tls_self_signed"] = True
    return made


def merged(document: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Give the whole file's settings: the plan's, and what else stands there.

    Raises:
        BadAddress: the typed address cannot be used.
    """
    others = {name: value for name, value in document.items() if name not in _OURS}
    return {**settings_of(plan), **others}


def plan_of(config: Mapping[str, Any]) -> Plan:
    """Read the plan out of the relay's settings, the file's or those of `config print`."""
    public = config.get("public_url") or []
    host = str(config.get("host", _LOOPBACK[0]))
    first = str(public[0]) if public else ""
    reach = Reach.NETWORK if not _is_local(host) else Reach.PROXY if first else Reach.MACHINE
    return Plan(
        port=int(config.get("port", 8765)),
        name=str(config.get("name", "")),
        reach=reach,
        address=first if reach is not Reach.MACHINE else "",
        self_signed=bool(config.get("tls_self_signed", False)) if reach is Reach.NETWORK else True,
    )


def _is_local(host: str) -> bool:
    return host == "localhost" or host in _LOOPBACK


def to_toml(document: Mapping[str, Any]) -> str:
    """Write settings as TOML: texts, numbers, booleans, lists of these, and tables of one level."""
    lines = [_HEAD]
    tables = {name: value for name, value in document.items() if isinstance(value, Mapping)}
    lines += [f"{name} = {_value(value)}\n" for name, value in document.items() if name not in tables]
    for name, table in tables.items():
        lines.append(f"\n[{name}]\n")
        lines += [f"{key} = {_value(value)}\n" for key, value in table.items()]
    return "".join(lines)


def _value(value: Any) -> str:
    """JSON's texts, numbers, booleans and lists are TOML too, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def pin_of(link: str) -> str:
    """Give the pin that an invite link carries, in hex; "" when it has none."""
    fields = dict(part.partition("=")[::2] for part in urlsplit(link).fragment.split("&"))
    return fields.get("cert", "")


def home_address(addresses: list[str]) -> str:
    """Choose, of this machine's addresses, the one that a home network most likely knows; "" when there is none."""
    private = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv4Address) and address.is_private and not address.is_loopback:
            private.append(address)
    networks = ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12")
    for network in networks:
        for address in private:
            if address in ipaddress.ip_network(network):
                return str(address)
    return ""


# ------------------------------------------------------------------------------- limits


@dataclass(frozen=True, slots=True)
class Limit:
    """One of the relay's limits that a host wants to know.

    Attributes:
        key: Its name among the settings, without its table.
        value: As configured.
        burst: What may come at once, where the limit is a rate; else None.
    """

    key: str
    value: float
    burst: float | None = None


SHOWN_LIMITS = (
    ("connections", None),
    ("address_connections", None),
    ("agent_messages_per_second", "agent_messages_burst"),
    ("agent_bytes_per_second", "agent_bytes_burst"),
    ("address_connections_per_minute", "address_connections_burst"),
    ("address_failures_per_minute", "address_failures_burst"),
    ("handshakes_per_minute", "handshakes_burst"),
    ("queue_bytes_max", None),
)


def limits_of(config: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Read the limits out of `config print`; those that this relay does not know are left out."""
    table = config.get("limits", {})
    return tuple(
        Limit(key, float(table[key]), float(table[burst]) if burst else None)
        for key, burst in SHOWN_LIMITS
        if key in table and (burst is None or burst in table)
    )
