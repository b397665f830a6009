"""What can go wrong with keys at rest; each message is a sentence for a person that says what to do.

Implements the refusals of docs/protocol.md section 13.2 (keys at rest). None of them holds a secret.
"""

from __future__ import annotations


class VaultError(Exception):
    """Base of all that this package raises on purpose; `str()` is for a person."""


class NoKeyring(VaultError):
    """Environment: there is no keyring that can be trusted with a secret."""


class KeyringLocked(VaultError):
    """Environment: the keyring is locked, and was not unlocked when asked for."""


class KeyringFailed(VaultError):
    """Environment: the keyring or the vault file refused to read or write."""


class WrongPassphrase(VaultError):
    """The person's passphrase does not open the vault."""


class PassphraseNeeded(VaultError):
    """The vault has a passphrase, or its kind demands one, and none was given."""


class VaultCorrupt(VaultError):
    """A stored entry is not what was written."""


class VaultMissing(VaultError):
    """There are no keys where they were expected."""


class VaultExists(VaultError):
    """Keys are there already; new ones would take their place."""


class VaultLocked(VaultError):
    """Ours: the vault was locked; its secrets are no longer in memory."""


class BackendChanged(VaultError):
    """The keyring in use is not the one that holds this profile's keys."""


class SecretTooLong(VaultError):
    """A secret does not fit into one keyring entry."""


class BadBackup(VaultError):
    """A file is not a backup, is damaged, or comes from a newer version."""
