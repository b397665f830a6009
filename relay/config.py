"""The relay's settings: `relay.toml`, then `AGENTNET_RELAY_…` variables, then flags; the last one wins.

One table of fields is the whole truth: each is a key of the file, a variable and an option of the command
line. Unknown keys are errors. Nothing here opens a socket or the registry. See docs/self-hosting.md.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints
from urllib.parse import urlsplit

import msgspec

from relay.limits import Limits
from relay.wiping import can_wipe

ENVIRONMENT_PREFIX: Final = "AGENTNET_RELAY_"
MODES: Final = ("local", "firebase", "oidc")
OIDC_ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256"})
_NATS_PORT: Final = 4222
_MAX_MESSAGE_BYTES: Final = (4096, 1 << 20)  # below, hardly a sealed message fits


class ConfigError(Exception):
    """A setting that cannot be used; one sentence for a person."""


class Firebase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mode `firebase`.

    Attributes:
        project: the Firebase project's id.
        keys_url: where Google publishes the signing keys, as a JWK set.
        emulator: take unsigned tokens of the Auth emulator; only on a loopback bind.
    """

    project: str = ""
    keys_url: str = (
        "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
    )
    emulator: bool = False


class Oidc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mode `oidc`.

    Attributes:
        issuer: the issuer's URL, exactly as in `iss`.
        audience: what `aud` must name.
        agent_claim: the custom claim that may name the agentId.
        algorithms: those that the issuer signs with, of RS256, PS256 and ES256.
    """

    issuer: str = ""
    audience: str = ""
    agent_claim: str = "agentId"
    algorithms: tuple[str, ...] = ("RS256",)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Times in seconds, sizes in bytes.

    Attributes:
        host, port: where to listen; port 0 picks a free one.
        data_dir: the folder of the registry.
        name: the relay's name, for display.
        public_url: the origins that links and tokens name; the bound loopback address when empty.
        auth: the modes of authentication.
        open_registration: let free agentIds be claimed without an invite.
        tls_cert, tls_key: PEM files; read again on SIGHUP and when they change.
        tls_self_signed: make a certificate here, and put its pin into invite links.
        metrics_port: the port of metrics and health on 127.0.0.1; -1 for none, 0 picks one.
        nats: the URL of a NATS server that joins several relays, or several of one NATS cluster, separated by
            commas. May hold a password: it is shown by `redacted` only.
        max_message_bytes: the largest envelope, in JSON form.
        heartbeat_interval, idle_timeout: announced to clients.
        authentication_timeout: time for the upgrade request, and again for AUTH.
        expiry_grace: time for a fresh token after the old one expired.
        refusal_delay: every refused token is answered after this time, whatever was wrong with it.
        drain: over how long connections are closed when the relay stops.
        compression: offer permessage-deflate.
        wipe_memory: overwrite what is freed; needs glibc, and costs speed.
        trusted_proxies: addresses or networks whose X-Forwarded-For is believed.
        log_format: `text` or `json`. log_level: `debug`, `info`, `warning` or `error`.
        log_addresses: write whole addresses to the log, instead of their network.
        limits, firebase, oidc: tables of their own.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    data_dir: str = ""
    name: str = "AgentNet relay"
    public_url: tuple[str, ...] = ()
    auth: tuple[str, ...] = ("local",)
    open_registration: bool = False
    tls_cert: str = ""
    tls_key: str = ""
    tls_self_signed: bool = False
    metrics_port: int = -1
    nats: str = ""
    max_message_bytes: int = 65_536
    heartbeat_interval: float = 30
    idle_timeout: float = 90
    authentication_timeout: float = 10
    expiry_grace: float = 60
    refusal_delay: float = 0.1
    drain: float = 5
    compression: bool = False
    wipe_memory: bool = False
    trusted_proxies: tuple[str, ...] = ()
    log_format: str = "text"
    log_level: str = "info"
    log_addresses: bool = False
    limits: Limits = Limits()
    firebase: Firebase = Firebase()
    oidc: Oidc = Oidc()

    @property
    def tls(self) -> bool:
        """Whether the relay itself speaks TLS."""
        return bool(self.tls_cert) or self.tls_self_signed

    @property
    def registry_path(self) -> Path:
        """The registry's file."""
        return Path(self.data_dir) / "registry.sqlite"


TABLES: Final[dict[str, type[msgspec.Struct]]] = {"limits": Limits, "firebase": Firebase, "oidc": Oidc}


def option_types(struct: type[msgspec.Struct] = Config) -> dict[str, Any]:
    """The fields of a table of settings and their types."""
    hints = get_type_hints(struct)
    return {name: hints[name] for name in struct.__struct_fields__}


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Where this platform keeps a program's data."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA", home / "AppData" / "Local")) / "agentnet-relay"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "agentnet-relay"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "agentnet-relay"


def load(
    flags: Mapping[str, Any], *, environment: Mapping[str, str] = os.environ, file: str | None = None
) -> Config:
    """Read the settings from all three places.

    Args:
        flags: those given on the command line, by field name; absent ones must be absent.
        environment: the process's.
        file: the configuration file; else `AGENTNET_RELAY_CONFIG`, else `relay.toml` in the data folder if
            it is there.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or settings that do not go together.
    """
    variables = _from_environment(environment)
    chosen = file or environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    data_dir = flags.get("data_dir") or variables.get("data_dir")
    if not chosen:
        beside = Path(data_dir or default_data_dir(environment)) / "relay.toml"
        chosen = str(beside) if beside.is_file() else None
    merged: dict[str, Any] = {"data_dir": str(default_data_dir(environment))}
    for source, values in ((chosen or "", _from_file(chosen)), ("the environment", variables), ("", flags)):
        _convert(values, source)
        for name, value in values.items():
            merged[name] = {**merged.get(name, {}), **value} if name in TABLES else value
    config = _convert(merged, chosen or "")
    _check(config)
    return config


def _convert(values: Mapping[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as problem:
        where = f" in {source}" if source else ""
        raise ConfigError(f"Bad setting{where}: {problem}.") from None


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as problem:
        raise ConfigError(f"Cannot read {path}: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}.") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == f"{ENVIRONMENT_PREFIX}CONFIG":
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        table, _, key = name.partition("_")
        if name in option_types() and name not in TABLES:
            found[name] = from_text(variable, text, option_types()[name])
        elif table in TABLES and key in option_types(TABLES[table]):
            found.setdefault(table, {})[key] = from_text(variable, text, option_types(TABLES[table])[key])
        else:
            raise ConfigError(f"Unknown setting: {variable} in the environment.")
    return found


def from_text(name: str, text: str, kind: Any) -> Any:
    """Read a setting's value from a text, as variables and options give it.

    Args:
        name: what to call it in an error.
        text: the value; lists are separated by commas, booleans are true or false.
        kind: the field's type.

    Raises:
        ConfigError: the text does not fit the type.
    """
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except (KeyError, ValueError):
        words = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"{name} must be {words}, not {text!r}.") from None
    return text if kind is str else tuple(part.strip() for part in text.split(",") if part.strip())


def is_loopback(host: str) -> bool:
    """Whether a host to bind is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> str:
    """The origin of a relay's address, as tokens name it: `wss://host:port`, lower case, port written.

    Raises:
        ConfigError: not a ws, wss, http or https address, or one with more than a path.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{url!r} is not an address.") from None
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError(f"{url!r} is not a relay's address, such as wss://relay.example.org.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host.lower()}:{port or (443 if scheme == 'wss' else 80)}"


def nats_servers(text: str) -> tuple[str, ...]:
    """The NATS servers of the setting `nats`, each with its scheme and port; none for "".

    Raises:
        ConfigError: one is not a NATS address. It is not shown, since it may hold a password.
    """
    found = []
    for url in text.split(",") if text else ():
        try:
            parts = urlsplit(url.strip())
            port = parts.port or _NATS_PORT
        except ValueError:
            port = 0
            parts = urlsplit("")
        if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ConfigError("nats takes addresses such as nats://127.0.0.1:4222, separated by commas.")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        user, at, _ = parts.netloc.rpartition("@")
        found.append(f"{parts.scheme}://{user}{at}{host}:{port}")
    return tuple(found)


def redacted(url: str) -> str:
    """A NATS address, or several, without user and password."""
    return re.sub(r"//[^,]*@", "//***@", url)


def _problems_of_modes(config: Config) -> list[tuple[bool, str]]:
    """What may be wrong with the modes of authentication: whether it is, and what to say then."""
    return [
        (not config.auth, "auth must name at least one mode."),
        (bool(set(config.auth) - set(MODES)), f"auth takes {', '.join(MODES)}."),
        ("firebase" in config.auth and not config.firebase.project, "Mode firebase needs firebase.project."),
        (
            "oidc" in config.auth and not (config.oidc.issuer and config.oidc.audience),
            "Mode oidc needs oidc.issuer and oidc.audience.",
        ),
        (
            not set(config.oidc.algorithms) <= OIDC_ALGORITHMS or not config.oidc.algorithms,
            f"oidc.algorithms takes {', '.join(sorted(OIDC_ALGORITHMS))}.",
        ),
        (
            config.firebase.emulator and not is_loopback(config.host),
            "firebase.emulator takes unsigned tokens and so needs a loopback host.",
        ),
    ]


def _check(config: Config) -> None:
    """Refuse settings that do not go together, each with a sentence that says what to do."""
    low, high = _MAX_MESSAGE_BYTES
    problems = [
        (not 0 <= config.port <= 65535, "port must be 0 to 65535."),
        (not -1 <= config.metrics_port <= 65535, "metrics_port must be 0 to 65535, or -1 for none."),
        (not low <= config.max_message_bytes <= high, f"max_message_bytes must be {low} to {high}."),
        *_problems_of_modes(config),
        (bool(config.tls_cert) != bool(config.tls_key), "tls_cert and tls_key go together."),
        (
            config.tls_self_signed and bool(config.tls_cert),
            "tls_self_signed and tls_cert exclude each other.",
        ),
        (config.wipe_memory and not can_wipe(), "wipe_memory needs Linux with glibc."),
        (config.log_format not in ("text", "json"), "log_format must be text or json."),
        (config.log_level not in ("debug", "info", "warning", "error"), "log_level is unknown."),
        (
            min(config.heartbeat_interval, config.idle_timeout, config.authentication_timeout) <= 0,
            "Times must be positive.",
        ),
        (min(config.expiry_grace, config.refusal_delay, config.drain) < 0, "Times must not be negative."),
        (config.idle_timeout <= config.heartbeat_interval, "idle_timeout must exceed heartbeat_interval."),
    ]
    problems += [
        (getattr(config.limits, name) <= 0, f"limits.{name} must be positive.")
        for name in config.limits.__struct_fields__
    ]
    for bad, words in problems:
        if bad:
            raise ConfigError(words)
    for url in config.public_url:
        origin(url)
    nats_servers(config.nats)
    trusted_networks(config)


def trusted_networks(config: Config) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """`trusted_proxies` as networks.

    Raises:
        ConfigError: one is neither an address nor a network.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in config.trusted_proxies)
    except ValueError as problem:
        raise ConfigError(f"trusted_proxies: {problem}.") from None
