"""How the relay goes on without the window: a user service of systemd, as text for the host to look at and paste.

Only words are made here; nothing is written or run. Pure: no Qt.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

UNIT = "agentnet-relay.service"

_UNIT = """\
[Unit]
Description=AgentNet relay
After=network.target

[Service]
ExecStart={command}
Environment=PYTHONUNBUFFERED=1
Restart=on-failure
RestartSec=2
KillSignal=SIGTERM
TimeoutStopSec=30
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def unit(command: Sequence[str]) -> str:
    """Give the unit file that runs a command.

    Args:
        command: Program and arguments; each is quoted as systemd wants it.
    """
    return _UNIT.format(command=" ".join(_quoted(word) for word in command))


def _quoted(word: str) -> str:
    """Quote one word of a unit file: its `%` and `$` mean themselves."""
    inner = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{inner}"' if set(inner) & set(" \t\"'\\;") or not inner else inner


def recipe(command: Sequence[str], folder: Path) -> str:
    """Give the lines that a host pastes into a terminal.

    Args:
        command: Program and arguments that run the relay.
        folder: Where the unit goes, as `~/.config/systemd/user`.
    """
    place = folder / UNIT
    return (
        f"mkdir -p {shlex.quote(str(folder))}\n"
        f"cat > {shlex.quote(str(place))} <<'UNIT'\n{unit(command)}UNIT\n"
        f"systemctl --user daemon-reload\n"
        f"systemctl --user enable --now {UNIT}\n"
        f"loginctl enable-linger  # keeps it running while nobody is logged in\n"
    )
