"""The relay's `relay.toml` in its data folder: read whole, and replaced whole or not at all. No Qt, nothing judged."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.ui.hosting.plan import to_toml

NAME = "relay.toml"
_CANDIDATE = "relay.toml.new"


class SettingsFault(AgentError):
    """The relay's settings cannot be read or written; one sentence for a person."""


def read(folder: Path) -> dict[str, Any]:
    """Read the settings that stand in the file; none where there is no file.

    Raises:
        SettingsFault: there is one that cannot be read.
    """
    path = folder / NAME
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsFault(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsFault(f"{path} is not TOML: {error}.") from None


def write_candidate(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write settings beside the file, for the relay to judge before they count.

    Raises:
        SettingsFault: the folder cannot be written.
    """
    path = folder / _CANDIDATE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", opener=_private) as file:
            file.write(to_toml(document))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsFault(f"The relay's folder {folder} cannot be written: {error.strerror}.") from None
    return path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def accept(candidate: Path) -> None:
    """Put the candidate in the file's place.

    Raises:
        SettingsFault: it cannot be moved there.
    """
    try:
        candidate.replace(candidate.with_name(NAME))
    except OSError as error:
        raise SettingsFault(f"{candidate.with_name(NAME)} cannot be written: {error.strerror}.") from None


def refuse(candidate: Path) -> None:
    """Take the candidate away; the file stays as it was."""
    candidate.unlink(missing_ok=True)
