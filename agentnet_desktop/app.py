"""`agentnet-desktop`: the window. Composes the agent and Qt, and runs both on one loop.

`--help` and `--version` import no Qt. A start shows the frame first and loads the rest behind it: database, vault
and cryptography are imported in a thread while the frame is on the screen. Closing is one orderly shutdown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QApplication

    from agentnet_desktop.ui.profiles import Profiles

_RELAY_SWITCH = "--run-bundled-relay"  # a frozen build has no interpreter to give `-m relay` to
_LEASHED_SWITCH = "--run-leashed-relay"  # the same, ending with standard input


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the window.

    Args:
        arguments: As on the command line; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 trouble, 2 bad usage.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [_RELAY_SWITCH]:
        return _run_relay(given[1:])
    if given[:1] == [_LEASHED_SWITCH]:
        from agentnet_desktop.ui.hosting import leash

        leash.main(given[1:])
        return 0
    options = _parser().parse_args(given)
    if options.offscreen or (options.demo and not _has_display()):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if not options.offscreen and not _has_display() and not os.environ.get("QT_QPA_PLATFORM"):
        print(
            "agentnet-desktop: there is no display; use --offscreen, or the agentnet command.",
            file=sys.stderr,
        )
        return 1
    try:
        return _run_demo(options) if options.demo else _run_window(options)
    except ModuleNotFoundError as error:
        words = f"{error.name} is not installed: install agentnet-desktop[desktop]."
        print(f"agentnet-desktop: {words}", file=sys.stderr)
        return 1


def _run_demo(options: argparse.Namespace) -> int:
    from agentnet_desktop.demo import run_demo

    watched = os.environ.get("QT_QPA_PLATFORM") != "offscreen"
    return run_demo(screenshots=options.screenshots, watched=watched)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentnet-desktop",
        description="Agents that arrange meetings over an end-to-end encrypted protocol, in a window.",
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="DIR",
        help="keys, database and settings (default: the platform's place)",
    )
    parser.add_argument("--minimized", action="store_true", help="start in the tray, or minimised")
    parser.add_argument("--offscreen", action="store_true", help="run without a display")
    parser.add_argument(
        "--screenshots", type=Path, metavar="DIR", help="save pictures of every view there, and exit"
    )
    parser.add_argument(
        "--demo", action="store_true", help="a relay, a second agent and a meeting, all on this machine"
    )
    parser.add_argument(
        "link", nargs="?", default="", metavar="agentnet://…", help="a contact link to ask about"
    )
    return parser


class _Version(argparse.Action):
    """Prints the version of the installed distribution."""

    def __init__(self, option_strings: Sequence[str], dest: str, **rest: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help=str(rest.get("help", "")))

    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> None:
        from importlib.metadata import version

        print(f"agentnet-desktop {version('agentnet-desktop')}")
        parser.exit()


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _run_relay(arguments: list[str]) -> int:
    """Be the bundled relay: the same executable, run again."""
    import runpy

    sys.argv = ["agentnet-relay", *arguments]
    runpy.run_module("relay", run_name="__main__")
    return 0


# ------------------------------------------------------------------------------- the window


def application() -> QApplication:
    """Give the one QApplication, named, which does not end with its last window."""
    from PySide6.QtWidgets import QApplication

    from agentnet_desktop.ui import qt_log
    from agentnet_desktop.ui.garbage import Collector

    made = QApplication.instance()
    if not isinstance(made, QApplication):
        made = QApplication(sys.argv[:1])
    made.setApplicationName("agentnet-desktop")
    made.setApplicationDisplayName("AgentNet")
    made.setDesktopFileName("agentnet-desktop")
    made.setQuitOnLastWindowClosed(False)
    qt_log.install()
    if made.findChild(Collector) is None:
        Collector(made)
    return made


def _profile_folder(options: argparse.Namespace) -> Path:
    if options.profile is not None:
        return Path(options.profile).absolute()
    from agentnet_desktop.profile import default_profile

    return default_profile()


def _run_window(options: argparse.Namespace) -> int:
    qt = application()
    from agentnet_desktop.ui.preferences import Preferences
    from agentnet_desktop.ui.single_instance import hand_over
    from agentnet_desktop.ui.theme.current import ThemeSwitch

    profile = _profile_folder(options)
    if options.screenshots is None and hand_over(profile, options.link):
        return 0
    preferences = Preferences(profile)
    theme = ThemeSwitch(qt, preferences.theme)
    from agentnet_desktop.ui.session import Session

    pictures = options.screenshots
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    session = Session(profile, theme, preferences, load_profiles, link=options.link, pictures=pictures)
    session.show(minimized=options.minimized or preferences.start_minimized)
    qt.processEvents()  # the frame is on the screen before anything slow is imported
    from agentnet_desktop.ui.loop import WindowLoop

    loop = WindowLoop(qt)
    asyncio.set_event_loop(loop)
    with loop:
        loop.run_until_complete(session.run())
    return 0


async def load_profiles() -> Profiles:
    """Import what opens profiles, in a thread, and hand it over."""
    return await asyncio.to_thread(_profiles)


def _profiles() -> Profiles:
    from agentnet_desktop import compose, portable, profile
    from agentnet_desktop.care import Care
    from agentnet_desktop.store.errors import StoreError
    from agentnet_desktop.ui.profiles import Profiles
    from agentnet_desktop.vault.errors import (
        BackendChanged,
        NoKeyring,
        PassphraseNeeded,
        VaultError,
        WrongPassphrase,
    )

    async def open_profile(
        root: Path, passphrase: str | None, *, accept_backend: bool = False
    ) -> compose.Holder:
        return await compose.open_profile(root, passphrase=passphrase, accept_backend=accept_backend)

    return Profiles(
        exists=lambda root: profile.ProfilePaths(root).settings.exists(),
        make=compose.create_profile,
        account=compose.Account,
        remove=compose.delete_profile,
        open=open_profile,
        restore=portable.restore,
        keeper=Care,
        errors=(profile.ProfileError, VaultError, StoreError),
        locked=(PassphraseNeeded, WrongPassphrase),
        no_keyring=(NoKeyring,),
        at_relay=(profile.SignInFailed, compose.BadProfileInput),
        backend_changed=(BackendChanged,),
    )
