"""Where wrapped secrets lie: the operating system's keyring, or a vault file where there is none.

Implements docs/protocol.md section 13.2 (keys at rest). A store keeps small byte strings under names; what they mean, and that
they are encrypted, is the vault's business. All calls block: run them in a thread. The keyring library starts slowly, and
so is imported where it is first needed.
"""

from __future__ import annotations

import base64
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from .errors import KeyringFailed, KeyringLocked, NoKeyring, SecretTooLong, VaultCorrupt
from .files import write_private

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

MAX_ENTRY_BYTES: Final = 1024  # what every keyring takes, Windows' included
# The backends that encrypt what they keep. A plain-text, null or unknown one is never used.
_TRUSTED: Final = frozenset(
    {
        "keyring.backends.SecretService",
        "keyring.backends.libsecret",
        "keyring.backends.kwallet",
        "keyring.backends.macOS",
        "keyring.backends.Windows",
    }
)
_T = TypeVar("_T")


class SecretStore(Protocol):
    """Keeps small secrets under names.

    Attributes:
        name: what a person calls it, recorded with the profile.
        requires_passphrase: whether secrets here must be wrapped under a passphrase.
    """

    name: str
    requires_passphrase: bool

    def get(self, key: str) -> bytes | None:
        """The entry, or None when there is none."""

    def set(self, key: str, value: bytes) -> None:
        """Write or replace one entry, whole or not at all."""

    def delete(self, key: str) -> None:
        """Remove one entry; no error when there is none."""


class KeyringStore:
    """The operating system's keyring.

    Attributes:
        name: module and class of the backend, such as `keyring.backends.SecretService.Keyring`.
        requires_passphrase: False; the keyring itself is locked by the person's login.
    """

    requires_passphrase = False

    def __init__(self, service: str, *, backend: KeyringBackend | None = None) -> None:
        """Find the keyring.

        Args:
            service: the namespace of one profile's entries.
            backend: used instead of the best trusted one.

        Raises:
            NoKeyring: there is none, or only one that keeps secrets in the clear.
        """
        self._service = service
        self._backend = backend if backend is not None else _trusted_backend()
        self.name = _backend_name(self._backend)

    def get(self, key: str) -> bytes | None:
        """The entry, or None.

        Raises:
            KeyringLocked, NoKeyring, KeyringFailed: the keyring does not answer.
            VaultCorrupt: the entry is not one of ours.
        """
        text = _asked(lambda: self._backend.get_password(self._service, key))
        return None if text is None else _decoded(text, key)

    def set(self, key: str, value: bytes) -> None:
        """Write or replace one entry.

        Raises:
            SecretTooLong: it exceeds 1 KiB.
            KeyringLocked, NoKeyring, KeyringFailed: the keyring does not answer.
        """
        text = base64.b64encode(value).decode()
        if len(text) > MAX_ENTRY_BYTES:
            raise SecretTooLong(
                "This secret is too long for a keyring entry; keep it in a vault file instead."
            )
        _asked(lambda: self._backend.set_password(self._service, key, text))

    def delete(self, key: str) -> None:
        """Remove one entry; no error when there is none.

        Raises:
            KeyringLocked, NoKeyring, KeyringFailed: the keyring does not answer.
        """
        if self.get(key) is not None:
            _asked(lambda: self._backend.delete_password(self._service, key))


class FileStore:
    """A vault file: JSON, mode 0600, replaced whole at every change.

    Attributes:
        name: `file`.
        requires_passphrase: True; a key beside what it opens would protect nothing.
    """

    name = "file"
    requires_passphrase = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> bytes | None:
        """The entry, or None.

        Raises:
            KeyringFailed: the file cannot be read.
            VaultCorrupt: it is not a vault file.
        """
        text = self._read().get(key)
        return None if text is None else _decoded(text, key)

    def set(self, key: str, value: bytes) -> None:
        """Write or replace one entry; on disk when this returns.

        Raises:
            KeyringFailed: the file cannot be read or written.
            VaultCorrupt: it is not a vault file.
        """
        self._write({**self._read(), key: base64.b64encode(value).decode()})

    def delete(self, key: str) -> None:
        """Remove one entry; no error when there is none.

        Raises:
            KeyringFailed, VaultCorrupt: as `set`.
        """
        entries = self._read()
        if entries.pop(key, None) is not None:
            self._write(entries)

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise KeyringFailed(f"The vault file {self._path} cannot be read: {_why(error)}.") from error
        except ValueError as error:
            raise VaultCorrupt(
                f"The vault file {self._path} is damaged; restore it from a backup."
            ) from error
        if not isinstance(document, dict) or document.get("version") != 1:
            raise VaultCorrupt(f"The vault file {self._path} is damaged, or from a newer version.")
        entries = document.get("entries")
        if not isinstance(entries, dict):
            raise VaultCorrupt(f"The vault file {self._path} is damaged; restore it from a backup.")
        return entries

    def _write(self, entries: dict[str, Any]) -> None:
        document = {"version": 1, "entries": entries}
        try:
            write_private(self._path, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")
        except OSError as error:
            raise KeyringFailed(f"The vault file {self._path} cannot be written: {_why(error)}.") from error


def _trusted_backend() -> KeyringBackend:
    """The configured backend when it is trusted, else the best trusted one.

    Raises:
        NoKeyring: there is none.
    """
    from keyring import get_keyring
    from keyring.backend import get_all_keyring

    configured = get_keyring()
    if type(configured).__module__ in _TRUSTED:
        return configured
    if type(configured).__module__ == "keyring.backends.chainer":
        trusted = [b for b in get_all_keyring() if type(b).__module__ in _TRUSTED]
        if trusted:
            return max(trusted, key=lambda found: found.priority)
    raise NoKeyring(
        "There is no keyring here that encrypts what it keeps. Start your desktop's keyring, or keep the keys in "
        "a vault file with a passphrase (--key-store file)."
    )


def _backend_name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__name__}"


def _asked(call: Callable[[], _T]) -> _T:
    """Call the keyring, and put what goes wrong into words."""
    from keyring import errors as theirs

    try:
        return call()
    except theirs.KeyringLocked as error:
        raise KeyringLocked("The keyring is locked. Unlock it, then try again.") from error
    except theirs.NoKeyringError as error:
        raise NoKeyring(
            "There is no keyring here any more. Start your desktop's keyring, then try again."
        ) from error
    except theirs.KeyringError as error:
        raise KeyringFailed(
            "The keyring refused; see that it runs and is unlocked, then try again."
        ) from error


def _decoded(text: object, key: str) -> bytes:
    damaged = VaultCorrupt(f"The entry {key!r} is damaged; restore the profile from a backup.")
    if not isinstance(text, str):
        raise damaged
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise damaged from None


def _why(error: OSError) -> str:
    return (error.strerror or errno.errorcode.get(error.errno or 0, "unknown")).lower()
