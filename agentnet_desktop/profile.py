"""A profile's folder: where its files lie, its settings file without secrets, and the lock of its one holder.

A profile is one agent on this machine: keys (in the keyring or a vault file), a database, settings. Implements the
enrolment state of docs/protocol.md, section "Relay authentication". Secrets never come here: see `vault`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

VERSION = 1
_BRIEF = "brief"
_LONGEST_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes on Linux, 104 on macOS, the final zero included


class ProfileError(Exception):
    """Base of what is wrong with a profile; the text is one sentence for a person."""


class NoProfile(ProfileError):
    """There is no profile in this folder."""


class ProfileExists(ProfileError):
    """There is one already where a new one was asked for."""


class SignInFailed(ProfileError):
    """The account could not be signed in; nothing was made."""


class ProfileDamaged(ProfileError):
    """The settings file cannot be read, or is from a newer version."""


class ProfileUnwritable(ProfileError):
    """The folder or its files cannot be written."""


class ProfileInUse(ProfileError):
    """Another process holds the profile.

    Attributes:
        pid: of that process, or None when it did not say.
        brief: it is a single command, which will soon be done.
    """

    def __init__(self, root: Path, pid: int | None, *, brief: bool = False) -> None:
        """Builds the sentence."""
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"The profile {root} is in use by {who}: stop it first, or use it from there.")
        self.pid = pid
        self.brief = brief


@dataclass(frozen=True, slots=True)
class ProfilePaths:
    """Where a profile's files lie."""

    root: Path

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.root / "profile.json"

    @property
    def database(self) -> Path:
        """The encrypted database."""
        return self.root / "agent.db"

    @property
    def vault(self) -> Path:
        """The vault file, where there is no keyring."""
        return self.root / "vault.json"

    @property
    def lock(self) -> Path:
        """The lock file with the holder's pid."""
        return self.root / "lock"

    @property
    def socket(self) -> Path:
        """The holder's local socket; in a short private folder when the profile's own path is too long."""
        plain = self.root / "run" / "control.sock"
        if len(os.fsencode(plain)) <= _LONGEST_SOCKET_PATH:
            return plain
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return _runtime_folder() / f"{name}.sock"


def _runtime_folder() -> Path:
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and len(os.fsencode(given)) < _LONGEST_SOCKET_PATH - 40:
        return Path(given) / "agentnet"
    user = os.getuid() if sys.platform != "win32" else 0
    return Path(tempfile.gettempdir()) / f"agentnet-{user}"  # `control` checks that it is ours and 0700


def default_profile() -> Path:
    """Returns the folder used when a person names none: the platform's place for an application's data."""
    from platformdirs import user_data_path

    return user_data_path("agentnet", appauthor=False) / "profile"


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What a profile is, without any secret.

    Attributes:
        profile_id: random; the namespace of its keyring entries.
        agent_id: who it is.
        fingerprint: of its identity key, for people.
        relay: the relay's base address.
        relay_name: as its invite called it; for display.
        auth: `local`, `firebase` or `oidc`.
        token_file: where the token is kept fresh by someone else; "" when the agent gets its own.
        firebase_key: the Web API key of the Firebase project that the agent signs in to; "" when it does not.
        firebase_project: that project, as the sign-in told it; "" before one.
        firebase_email: whose account it is; the next sign-in offers it.
        firebase_emulator: the address of an Auth emulator in the place of Google; "" for none.
        key_store: `keyring` or `file`.
        backend: name of the secret store in which the keys were put.
        insecure: plain `ws://` to another machine was allowed.
        tls_pin: hex SHA-256 of the relay's SPKI, or "".
        enrolled: the relay has accepted this agent once.
    """

    profile_id: str
    agent_id: str
    fingerprint: str
    relay: str
    relay_name: str = ""
    auth: str = "local"
    token_file: str = ""
    firebase_key: str = ""
    firebase_project: str = ""
    firebase_email: str = ""
    firebase_emulator: str = ""
    key_store: str = "keyring"
    backend: str = ""
    insecure: bool = False
    tls_pin: str = ""
    enrolled: bool = False

    def to_bytes(self) -> bytes:
        """The settings file's content."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1).encode() + b"\n"


def read_settings(paths: ProfilePaths) -> ProfileSettings:
    """Reads a profile's settings.

    Raises:
        NoProfile: there are none.
        ProfileDamaged: they are not what was written, or from a newer version.
    """
    try:
        document = json.loads(paths.settings.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NoProfile(f"There is no profile in {paths.root}: make one with 'agentnet init'.") from None
    except OSError as error:
        raise ProfileDamaged(
            f"The profile's settings {paths.settings} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise ProfileDamaged(f"The profile's settings {paths.settings} are damaged.") from error
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise ProfileDamaged(f"The profile's settings {paths.settings} are damaged.")
    if document["version"] > VERSION:
        raise ProfileDamaged(
            f"The profile {paths.root} was written by a newer version of AgentNet Desktop; use that one."
        )
    return _from_document(paths, document)


def _from_document(paths: ProfilePaths, document: dict[str, Any]) -> ProfileSettings:
    known: dict[str, Any] = {}
    for field in fields(ProfileSettings):
        if field.name in document:
            known[field.name] = document[field.name]
    try:
        settings = ProfileSettings(**known)
    except TypeError as error:
        raise ProfileDamaged(f"The profile's settings {paths.settings} are damaged.") from error
    for field in fields(ProfileSettings):
        wanted = bool if field.type == "bool" else str
        if type(getattr(settings, field.name)) is not wanted:
            raise ProfileDamaged(f"The profile's settings {paths.settings} are damaged: {field.name}.")
    return settings


def write_settings(paths: ProfilePaths, settings: ProfileSettings) -> None:
    """Replaces the settings file, whole or not at all.

    Raises:
        ProfileUnwritable: it cannot be written.
    """
    from agentnet_desktop.vault.files import write_private

    try:
        write_private(paths.settings, settings.to_bytes())
    except OSError as error:
        raise ProfileUnwritable(f"The profile {paths.root} cannot be written: {error.strerror}.") from error


class ProfileLock:
    """Keeps a profile to one holder. The system frees it when the process ends, however that happens."""

    def __init__(self, paths: ProfilePaths, *, brief: bool = False) -> None:
        """Takes the lock, and writes this process's id into its file.

        Args:
            paths: the profile.
            brief: this process will soon be done, so that others may wait for it.

        Raises:
            ProfileInUse: another holder has it; names its pid.
            ProfileUnwritable: the lock file cannot be made.
        """
        try:
            self._handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ProfileUnwritable(
                f"The profile {paths.root} cannot be locked: {error.strerror}."
            ) from error
        if not _try_lock(self._handle):
            os.close(self._handle)
            pid, is_brief = _holder(paths)
            raise ProfileInUse(paths.root, pid, brief=is_brief)
        try:
            self._note(brief)
        except OSError as error:
            os.close(self._handle)
            raise ProfileUnwritable(
                f"The profile {paths.root} cannot be locked: {error.strerror}."
            ) from error

    def _note(self, brief: bool) -> None:
        """Writes who holds the lock."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, f"{os.getpid()}\n{_BRIEF if brief else ''}\n".encode())

    def release(self) -> None:
        """Frees the lock; a second call does nothing."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


def holder_pid(paths: ProfilePaths) -> int | None:
    """Returns the pid that the holder wrote; None when there is none to read. It may be an old one."""
    return _holder(paths)[0]


def _holder(paths: ProfilePaths) -> tuple[int | None, bool]:
    try:
        pid, brief, *_ = [*paths.lock.read_text("ascii").splitlines(), "", ""]
        return int(pid), brief == _BRIEF
    except (OSError, ValueError):
        return None, False


def is_held(paths: ProfilePaths) -> bool:
    """Tells whether some process holds the profile at this moment."""
    try:
        handle = os.open(paths.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # far behind the pid, which others must be able to read

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
