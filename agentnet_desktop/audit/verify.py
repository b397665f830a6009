"""Verifies a log: that nothing was changed, removed, added or moved, who wrote what, and what peers received.

Implements docs/protocol.md, *Verifying a log*, for whoever feeds the entries: a profile's database (`stored`) or an
exported file (`exported`), on another machine and without keys. It takes the log once, in order, with little memory,
and names the first bad entry.
What it cannot find: a log that was rewritten whole by somebody who has the database's key, up to the newest
statement about it that somebody else holds (an anchor); that is why anchors exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentnet_desktop.audit.authorship import Authorship
from agentnet_desktop.audit.histories import Histories
from agentnet_desktop.audit.items import Item
from agentnet_desktop.crypto import chain
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from agentnet_desktop.store.log_records import Anchor, LogContent, Step, details_hash

MOST_PROBLEMS = 50
RETENTION = "RETENTION"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `seq` is the entry's place; `kind` a stable word; `sentence` is for a person."""

    seq: int
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """What verifying found."""

    problems: tuple[Problem, ...]  # at most MOST_PROBLEMS, in the order in which they were found
    entries: int  # looked at, stubs included
    stubs: int  # of which only the hash is there
    undisclosed: int  # whole entries whose content is not there: redacted, or deleted by retention
    unproven: int  # messages of agents of whom no key is known: who wrote them stays open
    signatures: int  # messages whose author is proved
    commitments: int  # contents proved to be what was signed
    receipts: int  # deliveries proved by the recipient's signature
    first: int
    last: int
    head: bytes
    anchored_to: (
        int  # up to here the log is complete by what somebody else, or a signature, says; 0: nobody says
    )
    keys: Mapping[str, tuple[str, ...]]  # fingerprints by agentId: compare them with the people
    held_to: int = 0  # of that, what the key store or receipts in peers' hands say, and not only the owner
    loose_steps: int = (
        0  # delivery steps that no whole entry covers: made after the last one, or before a stub
    )

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def first_bad(self) -> Problem | None:
        """The problem at the lowest place, or None; one that follows from others only where there is no other."""
        return min(self.problems, key=lambda p: (p.kind == "RECEIPT_MISSING", p.seq), default=None)


class Verifier:
    """Takes a log's entries in order and says in the end what is wrong with them."""

    def __init__(
        self,
        own_id: str,
        *,
        identity_key: bytes,
        keys: Mapping[str, Iterable[bytes]] | None = None,
        anchors: Iterable[Anchor] = (),
    ) -> None:
        """Begins.

        Args:
            own_id: whose log it is.
            identity_key: of the log's owner, 32 bytes: nothing under another key is the owner's.
            keys: identity keys of others that are known otherwise, by agentId.
            anchors: statements about the log, by place.
        """
        self._author = Authorship(own_id, identity_key)
        self._histories = Histories()
        for agent_id, known in (keys or {}).items():
            self._author.learn(agent_id, known)
        self._identity_key = identity_key
        self._anchors = iter(anchors)
        self._anchor = next(self._anchors, None)
        self._last = 0
        self._head = chain.GENESIS
        self._problems: list[Problem] = []
        self._entries = self._stubs = self._undisclosed = self._anchored_to = self._held_to = 0
        self._forgotten = 0  # the last entry without content
        self._retained_from = 0  # content up to here was deleted by retention, which the log says itself

    @property
    def first_loose(self) -> int:
        """The first entry with a delivery step that no whole entry covers, when all are fed; 0 for none."""
        return self._histories.first_loose

    def feed(self, item: Item) -> None:
        """Checks the next entry."""
        self._entries += 1
        self._place(item)
        if item.body is None:
            self._stubs += 1
        else:
            self._disclosed(item)
            for kind, words in self._author.check(item):
                self._complain(item.seq, kind, f"Entry {item.seq}: {words}.")
        self._complain_of(self._histories.feed(item))
        self._last = item.seq
        self._head = item.entry_hash
        self._check_anchors(item)

    def finish(self, *, whole: bool = True, open_end: bool = False) -> Report:
        """Ends the walk.

        Args:
            whole: nothing was left out, so that a receipt that is missing is missing.
            open_end: the log went on after the last entry, so that statements beyond it say nothing.
        """
        if self._anchor is not None and not open_end:  # beyond the last entry
            words = (
                f"{_holder(self._anchor)} says that the log had at least {self._anchor.seq} entries; "
                f"it ends at {self._last}."
            )
            self._complain(self._last + 1, "TRUNCATED", words)
        self._complain_of(self._histories.finish(self._last))
        if self._forgotten > self._retained_from:
            words = f"The content of entry {self._forgotten} is gone, and no entry says that it was deleted."
            self._complain(self._forgotten, "CONTENT_MISSING", words)
        if whole and not self._stubs:
            for seq, message_id in self._author.unproven():
                self._complain(
                    seq,
                    "RECEIPT_MISSING",
                    f"Entry {seq} says DELIVERED, but no receipt for {message_id} is here.",
                )
        return Report(
            problems=tuple(self._problems),
            entries=self._entries,
            stubs=self._stubs,
            undisclosed=self._undisclosed,
            unproven=self._author.unknown,
            signatures=self._author.signatures,
            commitments=self._author.commitments,
            receipts=self._author.receipts,
            first=1,
            last=self._last,
            head=self._head,
            anchored_to=self._anchored_to,
            held_to=self._held_to,
            keys=self._author.fingerprints(),
            loose_steps=self._histories.loose,
        )

    def complain(self, seq: int, kind: str, sentence: str) -> None:
        """Adds a problem that the caller found, such as a line that cannot be read."""
        self._complain(seq, kind, sentence)

    def _complain(self, seq: int, kind: str, sentence: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(seq, kind, sentence))

    def _complain_of(self, found: Iterable[tuple[int, str]]) -> None:
        for seq, words in found:
            self._complain(seq, "HISTORY", words)

    def _place(self, item: Item) -> None:
        """Checks that the entry follows the one before it, by place and by hash, and that its own hash is right."""
        expected = self._last + 1
        if item.seq != expected:
            if item.seq > expected:
                words = (
                    f"Entries {expected} to {item.seq - 1} are missing."
                    if item.seq > expected + 1
                    else f"Entry {expected} is missing."
                )
                self._complain(expected, "MISSING", words)
            else:
                self._complain(
                    item.seq, "OUT_OF_PLACE", f"Entry {item.seq} stands where entry {expected} should be."
                )
        if item.previous_hash != self._head and item.seq == expected:
            words = f"Entry {item.seq} does not follow the entry before it: one of them was changed, moved or added."
            self._complain(item.seq, "CHAIN", words)
        try:
            body = item.body_hash if item.body is None else chain.body_hash(jcs(item.body))
            right = body is not None and chain.link(item.previous_hash, body) == item.entry_hash
        except (NotCanonical, ValueError):
            right = False
        if not right:
            self._complain(
                item.seq, "CHANGED", f"Entry {item.seq} was changed: its hash does not fit its fields."
            )

    def _disclosed(self, item: Item) -> None:
        """Checks what is disclosed of an entry against the hashes in its body."""
        body = item.body or {}
        for name, data in (("wire", item.wire), ("plaintext", item.plaintext)):
            if data is not None and hashlib.sha256(data).hexdigest() != body[f"{name}Hash"]:
                self._complain(
                    item.seq,
                    "CHANGED",
                    f"Entry {item.seq} was changed: its {name} bytes are not those it was made with.",
                )
        if item.wire is not None and len(item.wire) != body["size"]:
            self._complain(item.seq, "CHANGED", f"Entry {item.seq} was changed: its size is wrong.")
        if item.details is None or item.salt is None:
            self._undisclosed += 1
            if not item.redacted:
                self._forgotten = item.seq
            if item.content is not None or item.summary or item.plaintext is not None:
                self._complain(
                    item.seq, "INVENTED", f"Entry {item.seq} shows content without what proves it."
                )
        else:
            self._details(item, body, item.details, item.salt)
        begun = Step(item.seq, body["time"], body["state"])
        if not item.steps or item.steps[0] != begun or item.steps[-1].state != item.state:
            words = f"Entry {item.seq} has a delivery state, or a first step, that is not the one it was made with."
            self._complain(item.seq, "STATE", words)

    def _details(self, item: Item, body: Mapping[str, Any], details: bytes, salt: bytes) -> None:
        if details_hash(salt, details).hex() != body["detailsHash"]:
            self._complain(
                item.seq,
                "CHANGED",
                f"Entry {item.seq} was changed: its details are not those it was made with.",
            )
            return
        if (body["wireHash"] is not None) != (item.wire is not None) or (
            body["plaintextHash"] is not None
        ) != (item.plaintext is not None):
            self._complain(
                item.seq, "CONTENT_MISSING", f"Entry {item.seq} lacks bytes that it was made with."
            )
        said = LogContent(item.seq, item.wire, item.plaintext, details, salt).parsed
        content = said.content
        if item.summary != said.summary or item.content != content:
            self._complain(
                item.seq,
                "CHANGED",
                f"Entry {item.seq} was changed: what it shows is not what it was made with.",
            )
        if body["messageType"] == RETENTION and body["direction"] == "local" and isinstance(content, dict):
            last = content.get("lastSeq")
            self._retained_from = max(self._retained_from, last if isinstance(last, int) else 0)

    def _check_anchors(self, item: Item) -> None:
        while self._anchor is not None and self._anchor.seq <= item.seq:
            anchor = self._anchor
            self._anchor = next(self._anchors, None)
            if anchor.seq != item.seq:
                continue  # before the exported part, or missing, which was said
            if anchor.entry_hash != item.entry_hash:
                words = (
                    f"Entry {item.seq} is not the one that {_holder(anchor)} knows: the log was rewritten."
                )
                self._complain(item.seq, "REWRITTEN", words)
            elif self._signed(anchor):
                self._anchored_to = item.seq
                if anchor.kind != "SIGNED":
                    self._held_to = item.seq

    def held_end(self, seq: int) -> None:
        """Notes that somebody else holds the hash of an entry that was fed; 0 for none."""
        self._anchored_to = max(self._anchored_to, seq)
        self._held_to = max(self._held_to, seq)

    def _signed(self, anchor: Anchor) -> bool:
        if anchor.kind != "SIGNED":
            return True
        if anchor.signature is None:
            return False
        try:
            chain.verify_head(self._identity_key, anchor.seq, anchor.entry_hash, anchor.signature)
        except CryptoError:
            self._complain(anchor.seq, "SIGNATURE", f"The signature over entry {anchor.seq} does not verify.")
            return False
        return True


def _holder(anchor: Anchor) -> str:
    return {"SIGNED": "A signed statement", "KEYRING": "The keyring"}.get(
        anchor.kind, anchor.holder or "Somebody else"
    )
