"""`agentnet-relay`: serve, invites, agents, configuration, backup (docs/self-hosting.md).

Every option is also a key of `relay.toml` and an `AGENTNET_RELAY_…` variable. What people script goes to
stdout, one thing a line; an error is one sentence on stderr and exit 1, or 2 for bad usage.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import importlib.metadata
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from relay.auth.local import OWNER_PREFIX, key_owner
from relay.auth.registry import Agent, Registry, RegistryError
from relay.config import TABLES, Config, ConfigError, from_text, load, option_types, origin, redacted
from relay.tls import TlsError
from relay.wiping import start_again_wiping
from relay.wire.envelope import is_agent_id

_INVITE_LIFETIME: Final = "24h"
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_MAX_LIFETIME_MS: Final = 10 * 365 * 86_400_000


class UsageError(Exception):
    """An argument that cannot be understood; one sentence for a person. Exit 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: without the program's name; those of the process by default.

    Returns:
        0 done, 1 an error, 2 bad usage.
    """
    try:
        chosen = _parser().parse_args(arguments)
        done = chosen.run(chosen)
        sys.stdout.flush()
        return int(done)
    except UsageError as problem:
        print(f"agentnet-relay: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (ConfigError, RegistryError, TlsError, ServeFailure, OSError) as problem:
        print(f"agentnet-relay: {problem}", file=sys.stderr)
        return 1


class ServeFailure(Exception):
    """`serve` could not start; one sentence for a person."""


# --- the command line -----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentnet-relay",
        description="A relay that passes sealed messages between agents and keeps none.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = _command(commands, "serve", _serve, "run the relay")
    _add_options(serve)
    _add_invite(commands)
    _add_agents(commands)
    _add_options(_command(commands, "check", _check, "validate the configuration"))
    config = commands.add_parser("config", help="show the configuration").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add_options(_command(config, "print", _print_config, "print the effective configuration as TOML"))
    backup = _command(commands, "backup", _backup, "copy the registry, beside a running relay too")
    backup.add_argument("--out", required=True, metavar="FILE", help="where to write; never overwritten")
    return parser


def _command(commands: Any, name: str, run: Any, words: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=words.capitalize() + "."
    )
    made.set_defaults(run=run)
    made.add_argument("--data-dir", metavar="DIR", help="the relay's data (default: the platform's place)")
    made.add_argument("--config", metavar="FILE", help="relay.toml (default: the one in the data folder)")
    return made


def _add_invite(commands: Any) -> None:
    invite = _command(commands, "invite", _invite, "make, list or revoke invites")
    invite.add_argument("action", nargs="?", choices=("list", "revoke"), help="instead of making one")
    invite.add_argument("invite", nargs="?", metavar="INVITE", help="what to revoke: handle, code or link")
    invite.add_argument("--agent-id", default="", metavar="ID", help="the one agentId it is for")
    invite.add_argument("--uses", default="1", metavar="N", help="how many may use it (default: 1)")
    invite.add_argument("--expires", default=_INVITE_LIFETIME, metavar="TIME", help="such as 24h or 7d")
    invite.add_argument("--public-url", metavar="URL", help="the address that the link names")
    invite.add_argument("--json", action="store_true", help="`list` as one JSON object a line")


def _add_agents(commands: Any) -> None:
    agents = commands.add_parser("agents", help="list, revoke or add agents").add_subparsers(
        required=True, metavar="COMMAND"
    )
    listed = _command(agents, "list", _agents_list, "list the agents that may connect")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    revoke = _command(agents, "revoke", _agents_revoke, "shut an agent out, at once")
    revoke.add_argument("agent_id", metavar="ID")
    add = _command(agents, "add", _agents_add, "let agents in without an invite")
    add.add_argument("agent_id", nargs="?", metavar="ID")
    add.add_argument("--identity-key", metavar="B64", help="its Ed25519 public key, base64")
    add.add_argument("--from", dest="source", metavar="FILE.jsonl", help="one agentId and identityKey a line")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """One option for each setting."""
    defaults = Config()
    for name, kind in option_types().items():
        if name in TABLES:
            for key, inner in option_types(TABLES[name]).items():
                _add_option(parser, f"{name}.{key}", inner, getattr(getattr(defaults, name), key))
        elif name != "data_dir":
            _add_option(parser, name, kind, getattr(defaults, name))


def _add_option(parser: argparse.ArgumentParser, name: str, kind: Any, default: Any) -> None:
    option = "--" + name.replace("_", "-").replace(".", "-")
    target = "set:" + name
    if kind is bool:
        parser.add_argument(option, dest=target, action=argparse.BooleanOptionalAction, default=None)
    elif kind in (int, float, str):
        parser.add_argument(option, dest=target, metavar=kind.__name__.upper(), help=f"default: {default}")
    else:
        words = f"default: {','.join(default)}" if default else "may be given more than once"
        parser.add_argument(option, dest=target, action="append", metavar="VALUE", help=words)


def _config(chosen: argparse.Namespace) -> Config:
    flags: dict[str, Any] = {"data_dir": chosen.data_dir} if chosen.data_dir else {}
    for target, value in vars(chosen).items():
        if not target.startswith("set:") or value is None:
            continue
        table, _, key = target.removeprefix("set:").rpartition(".")
        kind = option_types(TABLES[table] if table else Config)[key]
        option = "--" + target.removeprefix("set:").replace("_", "-").replace(".", "-")
        try:
            read = (
                value
                if kind is bool
                else from_text(option, ",".join(value) if isinstance(value, list) else value, kind)
            )
        except ConfigError as problem:
            raise UsageError(str(problem)) from None
        if table:
            flags.setdefault(table, {})[key] = read
        else:
            flags[key] = read
    return load(flags, file=chosen.config)


def _version() -> str:
    try:
        return f"agentnet-relay {importlib.metadata.version('agentnet-desktop')}"
    except importlib.metadata.PackageNotFoundError:
        return "agentnet-relay (from a checkout)"


def _now() -> int:
    return int(time.time() * 1000)


def _open_registry(config: Config) -> Registry:
    folder = Path(config.data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise RegistryError(f"Cannot make the data folder {folder}: {problem.strerror}.") from None
    return Registry(config.registry_path)


# --- serve ----------------------------------------------------------------------------------------------


def _serve(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    if config.wipe_memory:
        start_again_wiping()
    from relay import server  # brings asyncio and websockets, which the other commands do without
    from relay.logs import configure

    configure(config)
    registry = _open_registry(config)
    try:
        server.run(config, registry, lambda running: _announce(running, registry))
    except server.ServeError as problem:
        raise ServeFailure(str(problem)) from None
    finally:
        registry.close()
    return 0


def _announce(running: Any, registry: Registry) -> None:
    print(f"listening on {running.url}", flush=True)
    if running.metrics_port:
        print(f"metrics on http://127.0.0.1:{running.metrics_port}", flush=True)
    if registry.is_new():
        print(
            _make_invite(registry, running.config, agent_id="", uses=1, lifetime=_INVITE_LIFETIME), flush=True
        )


# --- invites --------------------------------------------------------------------------------------------


def _lifetime_ms(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    lifetime = int(match[1]) * _UNITS_MS[match[2]] if match else 0
    if not 0 < lifetime <= _MAX_LIFETIME_MS:
        raise UsageError(f"--expires takes a time such as 24h or 7d, up to ten years, not {text!r}.")
    return lifetime


def _make_invite(
    registry: Registry, config: Config, *, agent_id: str, uses: int, lifetime: str, address: str = ""
) -> str:
    code = registry.create_invite(
        agent_id=agent_id, uses=uses, lifetime_ms=_lifetime_ms(lifetime), now=_now()
    )
    if not address:
        fallback = f"{'wss' if config.tls else 'ws'}://{config.host}:{config.port}"
        address = config.public_url[0] if config.public_url else registry.fact("origin") or fallback
    name = quote(registry.fact("name") or config.name, safe="")
    pin = registry.fact("pin")
    return f"agentnet://join?relay={quote(origin(address), safe='')}&name={name}#invite={code}" + (
        f"&cert={pin}" if pin else ""
    )


def _invite(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    if chosen.action != "revoke" and chosen.invite:
        raise UsageError("only `invite revoke` takes an invite.")
    if chosen.action == "revoke" and not chosen.invite:
        raise UsageError("say which invite to revoke; `agentnet-relay invite list` names them.")
    if not chosen.uses.isdecimal() or not 1 <= int(chosen.uses) <= 1_000_000:
        raise UsageError(f"--uses takes a whole number from 1 to 1000000, not {chosen.uses!r}.")
    if chosen.agent_id and not is_agent_id(chosen.agent_id):
        raise UsageError(f"{chosen.agent_id!r} is not an agentId.")
    lifetime = chosen.expires
    _lifetime_ms(lifetime)
    registry = _open_registry(config)
    try:
        if chosen.action == "list":
            _list_invites(registry, as_json=chosen.json)
        elif chosen.action == "revoke":
            registry.revoke_invite(_code_of(chosen.invite), _now())
        else:
            print(
                _make_invite(
                    registry,
                    config,
                    agent_id=chosen.agent_id,
                    uses=int(chosen.uses),
                    lifetime=lifetime,
                    address=chosen.public_url or "",
                )
            )
    finally:
        registry.close()
    return 0


def _code_of(text: str) -> str:
    """The code in an invite link; anything else is a code or handle already."""
    if not text.startswith("agentnet://"):
        return text
    fields = dict(part.partition("=")[::2] for part in urlsplit(text).fragment.split("&"))
    return unquote(fields.get("invite", ""))


def _list_invites(registry: Registry, *, as_json: bool) -> None:
    now = _now()
    for invite in registry.invites():
        shown = {
            "invite": invite.handle,
            "state": invite.state(now),
            "usesLeft": invite.uses_left,
            "uses": invite.uses,
            "agentId": invite.agent_id,
            "expiresAt": invite.expires_at,
        }
        if as_json:
            print(msgspec.json.encode(shown).decode())
        else:
            until = time.strftime("%Y-%m-%d %H:%M", time.localtime(invite.expires_at / 1000))
            print(
                f"{invite.handle}  {invite.state(now):8}  {invite.uses_left} of {invite.uses} uses left"
                f"  until {until}  {invite.agent_id or 'any agent'}"
            )


# --- agents ---------------------------------------------------------------------------------------------


def _agents_list(chosen: argparse.Namespace) -> int:
    registry = _open_registry(_config(chosen))
    try:
        for agent in registry.agents():
            print(_shown_json(agent) if chosen.json else _shown(agent))
    finally:
        registry.close()
    return 0


def _identity_key(agent: Agent) -> str:
    if not agent.owner.startswith(OWNER_PREFIX):
        return ""
    raw = base64.urlsafe_b64decode(agent.owner.removeprefix(OWNER_PREFIX) + "=")
    return base64.b64encode(raw).decode()


def _shown(agent: Agent) -> str:
    state = "revoked" if agent.revoked_at else "active"
    return f"{agent.agent_id}  {state}  {_identity_key(agent) or agent.owner}"


def _shown_json(agent: Agent) -> str:
    key = _identity_key(agent)
    shown = {
        "agentId": agent.agent_id,
        **({"identityKey": key} if key else {"owner": agent.owner}),
        "revoked": bool(agent.revoked_at),
        "createdAt": agent.created_at,
    }
    return msgspec.json.encode(shown).decode()


def _agents_revoke(chosen: argparse.Namespace) -> int:
    registry = _open_registry(_config(chosen))
    try:
        registry.revoke_agent(chosen.agent_id, _now())
    finally:
        registry.close()
    return 0


class _Line(msgspec.Struct, rename="camel"):
    agent_id: str
    identity_key: str


def _agents_add(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    if bool(chosen.source) == bool(chosen.agent_id) or bool(chosen.agent_id) != bool(chosen.identity_key):
        raise UsageError("`agents add` takes an ID with --identity-key, or --from a file.")
    wanted = _read_lines(chosen.source) if chosen.source else [_Line(chosen.agent_id, chosen.identity_key)]
    checked = [(line.agent_id, _owner_of(line)) for line in wanted]
    registry = _open_registry(config)
    try:
        for agent_id, owner in checked:
            registry.add_agent(agent_id, owner, _now())
    finally:
        registry.close()
    return 0


def _read_lines(path: str) -> list[_Line]:
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as problem:
        raise RegistryError(f"Cannot read {path}: {problem.strerror}.") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=_Line))
            except msgspec.DecodeError as problem:
                raise RegistryError(f"{path} line {number}: {problem}.") from None
    return found


def _owner_of(line: _Line) -> str:
    if not is_agent_id(line.agent_id):
        raise UsageError(f"{line.agent_id!r} is not an agentId.")
    try:
        return key_owner(base64.b64decode(line.identity_key, validate=True))
    except (binascii.Error, ValueError):
        raise UsageError(f"The identity key of {line.agent_id} is not an Ed25519 key in base64.") from None


# --- configuration and backup ---------------------------------------------------------------------------


def _check(chosen: argparse.Namespace) -> int:
    from relay.tls import Certificate

    config = _config(chosen)
    if config.tls_cert:
        Certificate(Path(config.tls_cert), Path(config.tls_key))
    print("The configuration is good.")
    return 0


def _print_config(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    tables = []
    for name, kind in option_types().items():
        if name not in TABLES:
            value = getattr(config, name)
            print(f"{name} = {_toml(redacted(value) if name == 'nats' else value, kind)}")
        else:
            tables.append(name)
    for name in tables:
        table = getattr(config, name)
        print(f"\n[{name}]")
        for key, kind in option_types(TABLES[name]).items():
            print(f"{key} = {_toml(getattr(table, key), kind)}")
    return 0


def _toml(value: Any, kind: Any) -> str:
    """A setting's value in TOML, of which JSON's texts, numbers, booleans and lists are a part."""
    return msgspec.json.encode(float(value) if kind is float else value).decode()


def _backup(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    if not config.registry_path.is_file():
        raise RegistryError(f"There is no registry in {config.data_dir}.")
    registry = Registry(config.registry_path)
    try:
        registry.back_up(Path(chosen.out))
    finally:
        registry.close()
    return 0
