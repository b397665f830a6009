"""`agentnet keys`: the identity, its protection, rotation, sign-in and backup."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the group."""
    group = commands.add_parser(
        "keys", help="identity, rotation, passphrase, sign-in, backup", description="The agent's keys."
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show", help="print agentId, fingerprint and where the keys are", parents=[common]
    )
    show.set_defaults(run=_show)
    rotate = actions.add_parser(
        "rotate", help="agree on new session keys in all live conversations", parents=[common]
    )
    rotate.set_defaults(run=_rotate)
    change = actions.add_parser("passphrase", help="set, change or drop the passphrase", parents=[common])
    change.add_argument("--new-passphrase-file", metavar="F", help="the new one: the file's first line")
    change.add_argument("--no-passphrase", action="store_true", help="the keyring alone protects the keys")
    change.set_defaults(run=_passphrase)
    signin = actions.add_parser("signin", help="sign in with the Firebase account again", parents=[common])
    signin.add_argument("--email", metavar="E", help="of the account (default: the one that signed in last)")
    signin.add_argument("--password-file", metavar="F", help="its password: the file's first line")
    signin.set_defaults(run=_signin)
    backup = actions.add_parser(
        "backup", help="write identity, contacts and settings into a file", parents=[common]
    )
    backup.add_argument("--out", required=True, metavar="F", help="the file; must not be there yet")
    backup.add_argument(
        "--backup-passphrase-file", metavar="F", help="opens the backup (default: as the profile)"
    )
    backup.set_defaults(run=_backup)
    restore = actions.add_parser("restore", help="make a profile out of a backup", parents=[common])
    restore.add_argument("--in", dest="source", required=True, metavar="F", help="the backup file")
    restore.add_argument(
        "--backup-passphrase-file", metavar="F", help="opens the backup (default: as the profile)"
    )
    restore.add_argument(
        "--key-store", choices=("keyring", "file"), default="keyring", help="where the keys will be"
    )
    restore.add_argument("--no-passphrase", action="store_true", help="the keyring alone protects the keys")
    restore.set_defaults(run=_restore)


async def _show(args: Namespace) -> int:
    import base64

    from agentnet_desktop.cli.output import Output, shown

    async with access.reader(args) as holder:
        key = base64.b64encode(holder.vault.identity.public).decode()
        settings, backend = holder.settings, holder.vault.backend
        protected = holder.vault.has_passphrase
    Output(as_json=args.json).row(
        {
            "agentId": settings.agent_id,
            "fingerprint": settings.fingerprint,
            "identityKey": key,
            "keyStore": backend,
            "passphrase": protected,
            "relay": settings.relay,
            "account": settings.firebase_email or None,
            "enrolled": settings.enrolled,
        },
        f"agentId       {settings.agent_id}\nfingerprint   {settings.fingerprint}\nidentity key  {key}\n"
        f"keys in       {backend}{' with a passphrase' if protected else ''}\n"
        f"relay         {settings.relay}{'' if settings.enrolled else ' (not enrolled yet)'}"
        + (f"\naccount       {shown(settings.firebase_email)}" if settings.firebase_email else ""),
    )
    return outcome.DONE


async def _rotate(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output

    async with access.commander(args) as desk:
        count = await desk.agent.rotate_keys()
        await desk.settle()
    Output(as_json=args.json).row(
        {"conversations": count}, f"New keys are under way in {count} conversations."
    )
    return outcome.DONE


def _asked_twice(file: str | None, what: str) -> str:
    """Returns a new passphrase out of a file, or typed twice at the terminal."""
    if file is not None:
        return access.read_passphrase(file)
    if not sys.stdin.isatty():
        raise Usage(f"{what}: name its file, or call from a terminal.")
    first = access.typed(f"{what}: ")
    if access.typed("Once more: ") != first:
        raise Usage("The two passphrases differ; nothing was changed.")
    return first


async def _passphrase(args: Namespace) -> int:
    import asyncio

    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import open_profile

    if args.no_passphrase and args.new_passphrase_file:
        raise Usage("--no-passphrase and --new-passphrase-file contradict each other.")
    holder = await open_profile(access.paths(args).root, passphrase=await access.passphrase(args))
    try:
        new = None if args.no_passphrase else _asked_twice(args.new_passphrase_file, "New passphrase") or None
        await asyncio.to_thread(holder.vault.change_passphrase, new)
        await holder.start()  # a changed passphrase is a reason for new session keys
        await holder.agent.rotate_keys()
        await access.Desk(holder.agent, holder).settle()
    finally:
        await holder.close()
    words = "The keyring alone protects the keys now." if new is None else "The new passphrase holds."
    Output(as_json=args.json).row({"passphrase": new is not None}, words)
    return outcome.DONE


async def _signin(args: Namespace) -> int:
    from agentnet_desktop.agent.errors import NotAllowed
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.control import RemoteAgent
    from agentnet_desktop.profile import read_settings

    settings = read_settings(access.paths(args))
    if not settings.firebase_key:
        raise NotAllowed(f"{settings.agent_id} has no account that could sign in.")
    email = args.email or settings.firebase_email
    password = access.password(args.password_file, email)
    async with access.commander(args) as desk:
        signing = desk.agent if isinstance(desk.agent, RemoteAgent) else desk.own
        if signing is not None:
            await signing.sign_in(email, password)
        connected = await desk.agent.wait_connected(access.SETTLE_S)
        view = (await desk.agent.snapshot()).connection
    words = "and connected." if connected else f"but not connected. {view.reason}".rstrip()
    Output(as_json=args.json).row(
        {"account": email, "connected": connected, "reason": view.reason}, f"Signed in as {email}, {words}"
    )
    return outcome.DONE


def _new_file(name: str) -> Path:
    if Path(name).exists():
        raise Usage(f"{name} is there already; a backup never replaces a file.")
    return Path(name)


async def _backup(args: Namespace) -> int:
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.portable import back_up

    out = _new_file(args.out)
    async with access.reader(args) as holder:
        file = args.backup_passphrase_file or access.passphrase_file(args)
        count = await back_up(holder, out, passphrase=_asked_twice(file, "Passphrase of the backup"))
    Output(as_json=args.json).row(
        {"file": str(out), "contacts": count},
        f"Identity, settings and {count} contacts are in {out}. The log is not: export it with 'agentnet log export'.",
    )
    return outcome.DONE


async def _restore(args: Namespace) -> int:
    from agentnet_desktop.cli.init import new_passphrase
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.portable import restore

    profile_words = new_passphrase(args)
    file = args.backup_passphrase_file or access.passphrase_file(args)
    if file is None and not sys.stdin.isatty():
        raise Usage("The backup has a passphrase: name its file with --backup-passphrase-file.")
    info = await restore(
        access.paths(args).root,
        Path(args.source),
        backup_passphrase=access.read_passphrase(file)
        if file
        else access.typed("Passphrase of the backup: "),
        key_store=args.key_store,
        passphrase=profile_words,
    )
    Output(as_json=args.json).row(
        {"agentId": info.agent_id, "fingerprint": info.fingerprint, "profile": str(info.root)},
        f"{info.agent_id} is back, with the fingerprint {info.fingerprint}; contacts are greeted anew.",
    )
    return outcome.DONE
