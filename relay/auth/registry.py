"""Which agents may connect, and which invites may still be redeemed: plain SQLite, one file.

It holds no secret worth stealing: public keys, names of accounts, and hashes of invite codes. No message,
no address and no time of connection is ever written. Several processes may use it at once: `serve`, and the
commands beside it. Who may own an agentId is docs/protocol.md 11; tokens are checked elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.wire.envelope import agent_key

_VERSION: Final = 1
_CODE_BYTES: Final = 20  # 160 random bits; at least 128 are asked for
_BUSY_MS: Final = 10_000

_SCHEMA = """
CREATE TABLE agents (
    agent_key TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE invites (
    code_hash BLOB NOT NULL PRIMARY KEY,
    agent_key TEXT NOT NULL DEFAULT '',
    agent_id TEXT NOT NULL DEFAULT '',
    uses INTEGER NOT NULL,
    uses_left INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE spent_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE facts (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


class RegistryError(Exception):
    """The registry cannot be used, or a command cannot be done; one sentence for a person."""


@dataclass(frozen=True)
class Agent:
    """One registered agent. Times in ms; `revoked_at` is 0 while it may connect.

    Attributes:
        agent_id: as it was spelled when claimed.
        owner: who may connect as it: `key:B64URL`, or the account, as `firebase:PROJECT:UID`.
    """

    agent_id: str
    owner: str
    created_at: int
    revoked_at: int


@dataclass(frozen=True)
class Invite:
    """One invite, without its code, of which only the hash is known. Times in ms.

    Attributes:
        handle: the first 12 hex digits of the code's hash: its name in lists and for `revoke`.
        agent_id: the one agent it is for, or "".
    """

    handle: str
    agent_id: str
    uses: int
    uses_left: int
    created_at: int
    expires_at: int
    revoked_at: int

    def state(self, now: int) -> str:
        """In one word, whether it can be redeemed: `open`, `used`, `expired` or `revoked`."""
        if self.revoked_at:
            return "revoked"
        if not self.uses_left:
            return "used"
        return "open" if self.expires_at > now else "expired"


def code_hash(code: str) -> bytes:
    """SHA-256 of an invite code. The code has 160 random bits, so it needs no slow hash."""
    return hashlib.sha256(code.encode()).digest()


class Registry:
    """The registry's file, opened. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the registry, and make it when there is none.

        Args:
            path: its file; the folder must exist.

        Raises:
            RegistryError: it is no registry, is newer than this program, or cannot be opened.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            path.touch(mode=0o600, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as problem:
            raise RegistryError(f"Cannot open the registry {path}: {problem}.") from problem

    def _prepare(self) -> None:
        for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
            self._db.execute(f"PRAGMA {pragma}")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={_VERSION}")
            elif version != _VERSION:
                raise RegistryError(
                    f"The registry {self.path} is of version {version}; this program knows version {_VERSION}."
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One write transaction: taken at once, so that a check and its change are one step."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # --- agents -----------------------------------------------------------------------------------------

    def agent(self, agent_id: str) -> Agent | None:
        """The agent of that name, ignoring case, revoked or not."""
        with self._lock:
            row = self._db.execute(
                "SELECT agent_id, owner, created_at, revoked_at FROM agents WHERE agent_key = ?",
                (agent_key(agent_id),),
            ).fetchone()
        return Agent(*row) if row else None

    def agents(self) -> list[Agent]:
        """All agents, by name."""
        with self._lock:
            rows = self._db.execute(
                "SELECT agent_id, owner, created_at, revoked_at FROM agents ORDER BY agent_key"
            ).fetchall()
        return [Agent(*row) for row in rows]

    def add_agent(self, agent_id: str, owner: str, now: int) -> None:
        """Register an agent by the operator's word; an agent that was revoked is let in again.

        Raises:
            RegistryError: an agent of that name, not revoked, belongs to another owner.
        """
        with self._transaction():
            found = self._db.execute(
                "SELECT owner, revoked_at FROM agents WHERE agent_key = ?", (agent_key(agent_id),)
            ).fetchone()
            if found and not found[1] and found[0] != owner:
                raise RegistryError(f"{agent_id} is registered under another key; revoke it first.")
            self._db.execute(
                "INSERT OR REPLACE INTO agents (agent_key, agent_id, owner, created_at) VALUES (?, ?, ?, ?)",
                (agent_key(agent_id), agent_id, owner, now),
            )

    def revoke_agent(self, agent_id: str, now: int) -> None:
        """Shut an agent out; a running relay closes its connection.

        Raises:
            RegistryError: there is no agent of that name.
        """
        with self._transaction():
            done = self._db.execute(
                "UPDATE agents SET revoked_at = ? WHERE agent_key = ?", (now, agent_key(agent_id))
            )
            if not done.rowcount:
                raise RegistryError(f"There is no agent {agent_id}.")

    def admitted(self) -> dict[str, str]:
        """Who may connect now: agent key to owner."""
        with self._lock:
            return dict(self._db.execute("SELECT agent_key, owner FROM agents WHERE revoked_at = 0"))

    def changes(self) -> int:
        """A number that differs after another process has changed the registry."""
        with self._lock:
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
            return int(version)

    # --- tokens and claims ------------------------------------------------------------------------------

    def admit(
        self,
        agent_id: str,
        owner: str,
        *,
        spend: tuple[bytes, int] | None,
        invite: str | None,
        open_to_all: bool,
        now: int,
    ) -> bool:
        """Let an authenticated owner in, claiming the agentId when it is free: one atomic step.

        Args:
            agent_id: the agentId asked for.
            owner: who proved to be asking.
            spend: a hash that stands for the token and the time (ms) until which it must be remembered;
                None when the token may be used again.
            invite: an invite code; ignored when the agentId belongs to this owner already.
            open_to_all: whether a free agentId may be claimed without an invite.
            now: ms since the Unix epoch.

        Returns:
            Whether it may connect. When not, nothing was changed.
        """
        key = agent_key(agent_id)
        with self._lock:
            self._db.execute("PRAGMA synchronous=FULL" if invite else "PRAGMA synchronous=NORMAL")
        try:
            with self._transaction():
                if spend and not self._spend(*spend, now):
                    raise _Refuse
                row = self._db.execute(
                    "SELECT owner, revoked_at FROM agents WHERE agent_key = ?", (key,)
                ).fetchone()
                if row is None:
                    if not open_to_all and not (invite and self._redeem(invite, key, now)):
                        raise _Refuse
                    self._db.execute(
                        "INSERT INTO agents (agent_key, agent_id, owner, created_at) VALUES (?, ?, ?, ?)",
                        (key, agent_id, owner, now),
                    )
                elif row[0] != owner or row[1]:
                    raise _Refuse
        except _Refuse:
            return False
        return True

    def _spend(self, token_hash: bytes, until: int, now: int) -> bool:
        self._db.execute("DELETE FROM spent_tokens WHERE expires_at < ?", (now,))
        done = self._db.execute("INSERT OR IGNORE INTO spent_tokens VALUES (?, ?)", (token_hash, until))
        return done.rowcount == 1

    def _redeem(self, code: str, key: str, now: int) -> bool:
        done = self._db.execute(
            "UPDATE invites SET uses_left = uses_left - 1 WHERE code_hash = ? AND uses_left > 0"
            " AND expires_at > ? AND revoked_at = 0 AND agent_key IN ('', ?)",
            (code_hash(code), now, key),
        )
        return done.rowcount == 1

    # --- invites ----------------------------------------------------------------------------------------

    def create_invite(
        self,
        *,
        agent_id: str,
        uses: int,
        lifetime_ms: int,
        now: int,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> str:
        """Make an invite.

        Args:
            agent_id: the one agent it is for, or "".
            uses: how many agents may claim an agentId with it, at least 1.
            lifetime_ms: how long it can be redeemed.
            now: ms since the Unix epoch.
            random: gives a URL-safe text of that many random bytes.

        Returns:
            The code: 27 characters, told once and never stored.
        """
        code = random(_CODE_BYTES)
        with self._transaction():
            self._db.execute(
                "INSERT INTO invites (code_hash, agent_key, agent_id, uses, uses_left, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (code_hash(code), agent_key(agent_id), agent_id, uses, uses, now, now + lifetime_ms),
            )
        return code

    def invites(self) -> list[Invite]:
        """All invites, newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT lower(substr(hex(code_hash), 1, 12)), agent_id, uses, uses_left, created_at, expires_at,"
                " revoked_at FROM invites ORDER BY created_at DESC, code_hash"
            ).fetchall()
        return [Invite(*row) for row in rows]

    def revoke_invite(self, code_or_handle: str, now: int) -> None:
        """Withdraw an invite.

        Args:
            code_or_handle: its code, or its handle from the list.
            now: ms since the Unix epoch.

        Raises:
            RegistryError: no invite, or more than one, is called so.
        """
        with self._transaction():
            rows = self._db.execute(
                "SELECT code_hash FROM invites WHERE code_hash = ? OR lower(substr(hex(code_hash), 1, 12)) = ?",
                (code_hash(code_or_handle), code_or_handle.lower()),
            ).fetchall()
            if len(rows) != 1:
                raise RegistryError("There is no such invite; `agentnet-relay invite list` names them.")
            self._db.execute("UPDATE invites SET revoked_at = ? WHERE code_hash = ?", (now, rows[0][0]))

    def is_new(self) -> bool:
        """Whether nobody was ever registered or invited here."""
        with self._lock:
            (used,) = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM agents) OR EXISTS (SELECT 1 FROM invites)"
            ).fetchone()
        return not used

    # --- what a running relay tells the commands beside it ----------------------------------------------

    def fact(self, name: str) -> str:
        """A fact that `serve` noted, such as its public address; "" when it noted none."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def note(self, **facts: str) -> None:
        """Note facts, replacing earlier ones of the same name."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def back_up(self, target: Path) -> None:
        """Copy the registry, consistently, while others use it.

        Raises:
            RegistryError: the target exists, or cannot be written.
        """
        try:
            with target.open("xb"):
                target.chmod(0o600)
            copy = sqlite3.connect(target)
            try:
                with self._lock:
                    self._db.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
            finally:
                copy.close()
        except FileExistsError:
            raise RegistryError(f"{target} exists already; a backup never overwrites.") from None
        except (OSError, sqlite3.Error) as problem:
            raise RegistryError(f"Cannot write the backup {target}: {problem}.") from problem


class _Refuse(Exception):
    """Leaves a transaction without a trace; never seen outside."""
