"""`agentnet init`: makes a profile."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from agentnet_desktop.cli import access, outcome
from agentnet_desktop.cli.outcome import Usage

if TYPE_CHECKING:
    from agentnet_desktop.compose import Account

KEY_ENVIRONMENT = "AGENTNET_FIREBASE_KEY"


def add(commands: Any, common: ArgumentParser) -> None:
    """Adds the command."""
    words = "make an agent: its identity, its database, its relay"
    made = commands.add_parser(
        "init",
        help=words,
        description=words.capitalize() + ". It enrols at its first connection.",
        parents=[common],
    )
    made.add_argument("--agent-id", required=True, metavar="ID", help="who it will be, such as alice")
    made.add_argument("--relay", metavar="URL", help="the relay's address; an invite link brings it along")
    made.add_argument(
        "--invite", metavar="LINK_OR_CODE", help="the invite that the relay's operator gave out"
    )
    made.add_argument(
        "--auth", choices=("local", "firebase", "oidc"), default="local", help="how the relay knows it"
    )
    made.add_argument("--token-file", metavar="F", help="where another program keeps a token fresh")
    made.add_argument("--email", metavar="E", help="of the Firebase account; its password is asked for")
    made.add_argument("--password-file", metavar="F", help="the account's password: the file's first line")
    made.add_argument(
        "--firebase-key",
        metavar="KEY",
        help=f"the Firebase project's Web API key (default: {KEY_ENVIRONMENT})",
    )
    made.add_argument(
        "--firebase-emulator", metavar="URL", help="the project's Auth emulator on this machine, for tests"
    )
    made.add_argument("--no-passphrase", action="store_true", help="the keyring alone protects the keys")
    made.add_argument(
        "--key-store", choices=("keyring", "file"), default="keyring", help="where the keys are kept"
    )
    made.add_argument("--insecure", action="store_true", help="allow an unencrypted relay on another machine")
    made.set_defaults(run=run)


async def run(args: Namespace) -> int:
    """Makes the profile and prints agentId and fingerprint."""
    from agentnet_desktop.cli.output import Output
    from agentnet_desktop.compose import create_profile

    if args.relay is None and args.invite is None:
        raise Usage("Which relay? Give its address with --relay, or an invite link with --invite.")
    info = await create_profile(
        access.paths(args).root,
        agent_id=args.agent_id,
        relay=args.relay,
        invite=args.invite,
        auth=args.auth,
        token_file=args.token_file,
        account=account(args),
        key_store=args.key_store,
        passphrase=new_passphrase(args),
        insecure=args.insecure,
    )
    out = Output(as_json=args.json)
    out.row(
        {
            "agentId": info.agent_id,
            "fingerprint": info.fingerprint,
            "relay": info.relay,
            "profile": str(info.root),
            "keyStore": info.backend,
        },
        f"agentId      {info.agent_id}\nfingerprint  {info.fingerprint}\nrelay        {info.relay}\n"
        f"keys in      {info.backend}\nprofile      {info.root}",
    )
    return outcome.DONE


def account(args: Namespace) -> Account | None:
    """Finds the Firebase account to sign in with; None where none does."""
    from agentnet_desktop.compose import Account

    if args.auth != "firebase" or args.token_file:
        if args.email or args.password_file or args.firebase_key or args.firebase_emulator:
            raise Usage("An account goes with --auth firebase, and without --token-file.")
        return None
    key = args.firebase_key or os.environ.get(KEY_ENVIRONMENT)
    if not key:
        raise Usage(
            f"Which Firebase project? Give its Web API key with --firebase-key or {KEY_ENVIRONMENT}, or name a "
            "token's file with --token-file."
        )
    email = args.email or access.email()
    return Account(key, email, access.password(args.password_file, email), args.firebase_emulator or "")


def new_passphrase(args: Namespace) -> str | None:
    """Finds the new profile's passphrase: a file, none by choice, or asked for twice on a terminal."""
    file = access.passphrase_file(args)
    if args.no_passphrase:
        if args.passphrase_file:
            raise Usage("--no-passphrase and --passphrase-file contradict each other.")
        if args.key_store == "file":
            raise Usage("--key-store file needs a passphrase: a key beside what it opens protects nothing.")
        return None
    if file is not None:
        return access.read_passphrase(file)
    if sys.stdin.isatty():
        first = access.typed("New passphrase (empty for none): ")
        if first and access.typed("Once more: ") != first:
            raise Usage("The two passphrases differ; nothing was made.")
        if first or args.key_store != "file":
            return first or None
    if args.key_store == "file":
        raise Usage("--key-store file needs a passphrase: name its file with --passphrase-file.")
    return None
