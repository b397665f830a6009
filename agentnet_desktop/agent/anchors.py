"""Anchors of the log's head: signed, put where a changed database cannot reach them, and compared at start.

Implements docs/protocol.md section 13.1, *a statement about the newest entry*, as this agent uses it: at start, at
an orderly stop and after so many entries or minutes, the head is signed, stored beside the chain, and handed to the
keeper (the key store). A database that does not reach the kept head, or differs there, is an old copy put back: a
security event says so, and the statement stays in the database, so that verifying finds it from then on. What
verifying does is `audit.verify`'s work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agentnet_desktop.agent.events import Event, LogAppended
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.journal import Journal
from agentnet_desktop.agent.ports import HeadKeeper, HeadNotKept, KeptHead
from agentnet_desktop.crypto.chain import sign_head, verify_head
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import Anchor
from agentnet_desktop.store.errors import StoreError

ROLLED_BACK = "LOG_ROLLED_BACK"
NOT_KEPT = "LOG_HEAD_NOT_KEPT"
_KEY = "anchor"
_log = logging.getLogger(__name__)


class Anchors:
    """Signs the log's head from time to time, and keeps the newest statement where it is safe."""

    def __init__(self, ground: Ground, journal: Journal, keeper: HeadKeeper | None) -> None:
        """Keeps the ground; without a keeper, heads are signed and stay in the database only."""
        self._ground = ground
        self._journal = journal
        self._keeper = keeper
        self._signed_to = 0
        self._due = False
        self._unkept = ""  # what the keeper said last; empty while it keeps
        self._turns = asyncio.Lock()
        self._unsubscribe: Callable[[], None] = lambda: None
        ground.on_due(_KEY, self._start)

    async def begin(self) -> None:
        """Compares the database with the kept head, then anchors what was added since."""
        try:
            kept = await self.load()
        except HeadNotKept as error:
            kept, self._unkept = None, str(error)
            words = f"{error} Whether an old copy of the database was put back cannot be told."
            await self._ground.turn(lambda turn: self._complain(turn, NOT_KEPT, words))
        if kept is not None:
            await self._ground.turn(lambda turn: self._compare(turn, kept))
        self._unsubscribe = self._ground.hub.subscribe(self._hear)
        await self.anchor()

    async def end(self) -> None:
        """Anchors the last entry before the agent stops; a disk that refuses is told in the program's own log."""
        self._unsubscribe()
        try:
            await self.anchor()
        except StoreError as fault:
            _log.warning("the log's end could not be signed: %s", fault.kind)

    async def load(self) -> KeptHead | None:
        """Returns the head that the keeper holds, or None.

        Raises:
            HeadNotKept: it cannot be read.
        """
        return None if self._keeper is None else await self._keeper.load()

    async def kept(self) -> tuple[Anchor, ...]:
        """Returns what the keeper holds as a statement to verify the log against.

        Raises:
            HeadNotKept: it cannot be read.
        """
        head = await self.load()
        if head is None:
            return ()
        return (Anchor(head.seq, head.entry_hash, "KEYRING", "", 0, head.signature),)

    async def anchor(self) -> None:
        """Signs the head, if it moved, and hands it to the keeper."""
        async with self._turns:
            self._due = False
            head = await self._ground.turn(self._sign)
            if head is None or self._keeper is None:
                return
            try:
                await self._keeper.save(head)
            except HeadNotKept as error:
                await self._refused(str(error))
            else:
                self._unkept = ""

    # ------------------------------------------------------------------------------------------ private

    def _hear(self, event: Event) -> None:
        """Counts entries; quick, for it hears of every transaction."""
        if not isinstance(event, LogAppended) or self._due:
            return
        if not self._signed_to:
            self._signed_to = event.rows[0].seq - 1
        if event.rows[-1].seq - self._signed_to >= self._ground.timing.anchor_entries:
            self._due = True
            self._start()
        elif self._ground.deadlines.when(_KEY) is None:
            self._ground.wake(_KEY, self._ground.clock() + self._ground.timing.anchor_age)

    def _start(self) -> None:
        self._ground.tasks.start(self._anchor_or_wait(), name="anchor the log")

    async def _anchor_or_wait(self) -> None:
        try:
            await self.anchor()
        except StoreError as fault:  # the disk is full, say: whoever writes next hears of it
            _log.warning("the log's head could not be signed: %s", fault.kind)
            self._ground.wake(_KEY, self._ground.clock() + self._ground.timing.anchor_age)

    def _sign(self, turn: Turn) -> KeptHead | None:
        """Signs the head and stores the statement; None when the head has not moved.

        Delivery steps that no entry covers yet get one first, so that the signature is over them too.
        """
        if audit_log.open_steps(turn.session):
            words = "The deliveries' latest steps became part of the log's chain."
            self._journal.local(turn, peer="", message_type="STEPS", state="LOCAL", summary=words)
        head = audit_log.head(turn.session)
        if head.seq <= self._signed_to:
            return None
        signature = sign_head(self._ground.identity, head.seq, head.entry_hash)
        audit_log.add_anchor(
            turn.session, Anchor(head.seq, head.entry_hash, "SIGNED", "", turn.now, signature)
        )
        turn.then(lambda: self._signed(head.seq))
        return KeptHead(head.seq, head.entry_hash, signature)

    def _signed(self, seq: int) -> None:
        self._signed_to = seq

    def _compare(self, turn: Turn, kept: KeptHead) -> None:
        """Looks whether the database's chain reaches the kept head, and is the same there."""
        try:
            verify_head(self._ground.identity.public, kept.seq, kept.entry_hash, kept.signature)
        except (CryptoError, ValueError):
            words = "The key store holds a statement about the log that this agent did not sign; it was set aside."
            self._complain(turn, NOT_KEPT, words)
            return
        end = audit_log.head(turn.session).seq
        entry = audit_log.get(turn.session, kept.seq)
        if entry is not None and entry.entry_hash == kept.entry_hash:
            self._signed_to = kept.seq
            return
        what = (
            f"the database's log ends at entry {end}"
            if end < kept.seq
            else "the database has another entry in that place"
        )
        words = (
            f"The key store holds this agent's signature that its log had entry {kept.seq}, but {what}: an old copy of "
            "the database was put back, or the log was cut off or rewritten. What was logged since is missing here."
        )
        anchor = Anchor(kept.seq, kept.entry_hash, "KEYRING", "", turn.now, kept.signature)
        audit_log.add_anchor(turn.session, anchor)
        self._complain(turn, ROLLED_BACK, words)

    async def _refused(self, sentence: str) -> None:
        """Tells once that the keeper does not keep, until it does again; the next turn tries anew."""
        self._signed_to -= 1  # the same head is handed over again, though nothing is added to the log
        self._ground.wake(_KEY, self._ground.clock() + self._ground.timing.anchor_age)
        if not self._unkept:
            words = f"The newest head of the log could not be put into the key store. {sentence}"
            await self._ground.turn(lambda turn: self._complain(turn, NOT_KEPT, words))
        self._unkept = sentence

    def _complain(self, turn: Turn, kind: str, words: str) -> None:
        self._journal.security(turn, peer="", kind=kind, words=words)
