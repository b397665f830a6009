"""The one plain entry of a vault: which generation of secrets is in force, and how they were wrapped.

Implements docs/protocol.md section 13.2 (keys at rest). It holds nothing secret. Replacing it is the single step that makes a new
passphrase valid, which is why a crash can only leave the old state or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from .errors import VaultCorrupt
from .wrap import aad

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What has to be known before a vault can be unlocked.

    Attributes:
        agent_id: whose keys these are.
        profile_id: which profile they belong to.
        backend: name of the store that holds the secrets.
        generation: suffix of the names of the entries in force.
        discard: suffix of entries that a passphrase change left, or began, to be deleted; empty for none.
        kdf: `{"name": "none"}`, or Argon2id's parameters and `salt` in b64.
        check: b64 of an empty secret, wrapped: tells a wrong passphrase from a damaged entry.
        tokens: names of the tokens that may have an entry.
    """

    agent_id: str
    profile_id: str
    backend: str
    generation: str
    discard: str
    kdf: Mapping[str, Any]
    check: str
    tokens: tuple[str, ...] = ()

    def aad(self, purpose: str) -> bytes:
        """The additional data under which a secret of that purpose is wrapped."""
        return aad(purpose, self.agent_id, self.kdf)

    def to_bytes(self) -> bytes:
        """JSON, for the store."""
        return json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Record:
        """Read what `to_bytes` wrote.

        Raises:
            VaultCorrupt: it is something else, or from a newer version.
        """
        try:
            fields = json.loads(stored)
            version = fields.pop("version")
            tokens = tuple(str(name) for name in fields.pop("tokens"))
            record = cls(tokens=tokens, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise VaultCorrupt("The vault's record is damaged; restore the profile from a backup.") from error
        if version != VERSION:
            raise VaultCorrupt("The vault was written by a newer version of this program; use that one.")
        words = (
            record.agent_id,
            record.profile_id,
            record.backend,
            record.generation,
            record.discard,
            record.check,
        )
        if not isinstance(record.kdf, dict) or not all(isinstance(word, str) for word in words):
            raise VaultCorrupt("The vault's record is damaged; restore the profile from a backup.")
        return record
