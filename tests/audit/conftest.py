"""Two agents' logs of one conversation with real keys: handshake, sealed messages both ways, receipts."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.audit.export import Source
from agentnet_desktop.audit.histories import ShownSteps
from agentnet_desktop.audit.items import Item
from agentnet_desktop.audit.stored import database_items
from agentnet_desktop.crypto import chain, handshake, session
from agentnet_desktop.crypto.keys import EphemeralKey, IdentityKey
from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import Anchor, LogEntry, NewEntry
from agentnet_desktop.store.engine import Database
from relay.wire.codec import Format, encode
from relay.wire.control import AckContent, AckStatus, build
from relay.wire.envelope import Envelope, MessageType, b64encode, metadata

CONVERSATION = "conv_1"
NOW = 1_772_366_400_000
RELAY = "wss://relay.example/agent-network/v1/connect"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    fresh = Database.open(tmp_path / "agent.db", bytes(range(32)), now_ms=lambda: NOW)
    yield fresh
    fresh.close_sync()


def entries(db: Database) -> list[Item]:
    """All entries of a log, as verifying takes them."""
    with db.snapshot() as state:
        return list(database_items(state))


def source(party: Party, at: int = NOW, **more: Any) -> Source:
    """What an export says of a party's log, signed by the party."""
    sign = partial(chain.sign_export, party.identity)
    return Source(party.name, party.identity.public, RELAY, at, sign, **more)


def signed_end(identity: IdentityKey, header: dict[str, Any], items: list[Item]) -> dict[str, Any]:
    """The last line that an owner would sign under these entries; what a forger with a key makes."""
    steps = ShownSteps()
    for item in items:
        steps.feed(item)
    seq, head = (items[-1].seq, items[-1].entry_hash) if items else (0, chain.GENESIS)
    digest = hashlib.sha256(jcs(header)).digest()
    signature = chain.sign_export(identity, seq, head, steps.digest, digest)
    end = {"end": True, "entries": len(items), "seq": seq, "hash": head.hex()}
    return end | {"stepsDigest": steps.digest.hex(), "signature": b64encode(signature)}


def fixed(label: str, length: int = 32) -> bytes:
    """Bytes that are the same in every run."""
    return hashlib.shake_256(label.encode()).digest(length)


@dataclass
class Party:
    """One agent with its keys and its log."""

    name: str
    identity: IdentityKey
    db: Database
    fmt: Format
    time: int = NOW

    def append(self, envelope: Envelope, direction: str, **more: Any) -> LogEntry:
        """Appends an entry for an envelope in or out."""
        self.time += 1_000
        outgoing = direction == "out"
        values: dict[str, Any] = {
            "time": self.time,
            "direction": direction,
            "message_type": envelope.message_type.value,
            "state": "SENT" if outgoing else "RECEIVED",
            "summary": f"{envelope.message_type.value} {direction}",
            "peer": envelope.recipient_id if outgoing else envelope.sender_id,
            "conversation_id": envelope.conversation_id,
            "message_id": envelope.message_id,
            "encrypted": envelope.message_type is MessageType.ENCRYPTED,
            "verified": "none" if outgoing else "good",
            "sent_time": envelope.timestamp,
            "wire": encode(envelope, self.fmt),
            "wire_format": self.fmt.value,
        }
        if "plaintext" not in more:
            values["content"] = envelope.content
        return self.db.write_sync(lambda s: audit_log.append(s, NewEntry(**(values | more))))

    def append_entry(self, entry: NewEntry) -> LogEntry:
        """Appends an entry as it is."""
        return self.db.write_sync(lambda s: audit_log.append(s, entry))

    def append_note(self, summary: str) -> LogEntry:
        """Appends a local entry."""
        return self.append_entry(NewEntry(NOW, "local", "NOTE", "LOCAL", summary))


@dataclass
class Talk:
    """A conversation that both log."""

    alice: Party
    bob: Party
    keys: dict[str, session.SessionKeys] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def shake_hands(self) -> None:
        """Alice's handshake and Bob's answer."""
        ours, theirs = EphemeralKey.from_seed(fixed("ea")), EphemeralKey.from_seed(fixed("eb"))
        initiation = handshake.build_initiation(
            self.alice.identity,
            ours,
            agent_id="alice",
            peer_id="bob",
            conversation_id=CONVERSATION,
            message_id="msg_h1",
            session_id="sess_1",
            timestamp=NOW,
        )
        offer = handshake.check_initiation(initiation, own_id="bob")
        response = handshake.build_response(
            self.bob.identity, theirs, offer, message_id="msg_h2", timestamp=NOW
        )
        for envelope, sender, receiver in (
            (initiation, self.alice, self.bob),
            (response, self.bob, self.alice),
        ):
            sender.append(envelope, "out")
            receiver.append(envelope, "in")
        answer = handshake.check_response(response, initiation=initiation, own_id="alice")
        self.keys["alice"] = handshake.derive(
            ours.private, answer.public_key, initiation=initiation, response=response
        )
        self.keys["bob"] = handshake.derive(
            theirs.private, offer.public_key, initiation=initiation, response=response
        )

    def say(
        self, sender: Party, receiver: Party, content: dict[str, Any], *, receipt: bool = True
    ) -> LogEntry:
        """One sealed message with its receipt; returns the sender's entry."""
        self.count += 1
        self.seqs[sender.name] = self.seqs.get(sender.name, 0) + 1
        sealed = session.seal(
            self.keys[sender.name],
            sender.identity,
            session_id="sess_1",
            seq=self.seqs[sender.name],
            message_id=f"msg_{self.count}",
            conversation_id=CONVERSATION,
            sender_id=sender.name,
            recipient_id=receiver.name,
            original_type=MessageType.QUERY,
            content=content,
            timestamp=NOW + self.count,
            metadata=metadata(encrypted=True, requires_response=False),
            opening=fixed(f"o{self.count}"),
            hedge=fixed(f"h{self.count}"),
        )
        opened = {"message_type": "QUERY", "plaintext": sealed.plaintext}
        sent = sender.append(sealed.envelope, "out", state="QUEUED", summary="asks", **opened)
        stored = receiver.append(sealed.envelope, "in", summary="is asked", **opened)
        if not receipt:
            return sent
        signature = session.sign_receipt(receiver.identity, sealed.digest, stored.entry_hash)
        ack = Envelope(
            message_id=f"msg_a{self.count}",
            conversation_id=CONVERSATION,
            sender_id=receiver.name,
            recipient_id=sender.name,
            message_type=MessageType.ACK,
            content=build(
                AckContent(
                    message_id=sealed.envelope.message_id,
                    status=AckStatus.DELIVERED,
                    log_head=stored.entry_hash,
                    signature=signature,
                )
            ),
            timestamp=NOW + self.count,
            metadata=metadata(encrypted=False, requires_response=False),
        )
        receiver.append(ack, "out")
        anchor = Anchor(stored.seq, stored.entry_hash, "PEER", sender.name, receiver.time)
        receiver.db.write_sync(lambda s: audit_log.add_anchor(s, anchor))
        sender.append(ack, "in")
        sender.db.write_sync(lambda s: audit_log.set_state(s, sent.seq, "DELIVERED", sender.time))
        return sent

    def sign_heads(self) -> None:
        """Both sign their logs' ends."""
        for party in (self.alice, self.bob):
            end = party.db.read_sync(audit_log.head)
            signature = chain.sign_head(party.identity, end.seq, end.entry_hash)
            anchor = Anchor(end.seq, end.entry_hash, "SIGNED", "", party.time, signature)
            party.db.write_sync(partial(audit_log.add_anchor, anchor=anchor))


def opened(folder: Path, name: str) -> Party:
    """One party with the database in a folder."""
    db = Database.open(folder / f"{name}.db", bytes(range(32)), now_ms=lambda: NOW)
    fmt = Format.MSGPACK if name == "alice" else Format.JSON
    return Party(name, IdentityKey.from_seed(fixed(name)), db, fmt)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Talk]:
    """A conversation that every test gets a copy of: a handshake and three messages each way."""
    folder = tmp_path_factory.mktemp("talk")
    talk = Talk(opened(folder, "alice"), opened(folder, "bob"))
    talk.shake_hands()
    for number in range(3):
        talk.say(talk.alice, talk.bob, {"note": f"secret question {number}"})
        talk.say(talk.bob, talk.alice, {"note": f"secret answer {number}"})
    talk.sign_heads()
    for party in (talk.alice, talk.bob):
        party.db.close_sync()
    return folder, talk


@pytest.fixture
def talk(spoken: tuple[Path, Talk], tmp_path: Path) -> Iterator[Talk]:
    """Alice and Bob after a handshake and three messages each way."""
    folder, said = spoken
    for name in ("alice", "bob"):
        shutil.copy(folder / f"{name}.db", tmp_path)
    copy = Talk(opened(tmp_path, "alice"), opened(tmp_path, "bob"), said.keys, dict(said.seqs), said.count)
    yield copy
    for party in (copy.alice, copy.bob):
        party.db.close_sync()
