"""Who signed what an entry holds: signatures, commitments and receipts, checked from the wire bytes alone.

Implements docs/protocol.md, *Verifying a log*, steps that need no session keys. Keys of peers are learnt from
the handshakes in the log itself and from the caller; whether a key is a person's is for people to compare. The log's
owner has one key, which the log names and which never changes: nothing of another's goes under the owner's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentnet_desktop.audit.items import Item
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.keys import fingerprint
from agentnet_desktop.crypto.session import check_commitment, verify_receipt, verify_sealed
from relay.wire.codec import Decoded, Format, decode
from relay.wire.control import AckContent, EncryptedContent, HandshakeContent, parse
from relay.wire.envelope import Envelope, MessageType, agent_key
from relay.wire.errors import WireError

_MOST_BYTES = 4 * 1024 * 1024
Finding = tuple[str, str]  # a stable word and a sentence


@dataclass
class Authorship:
    """Checks entries one after the other and remembers only what later ones need."""

    own_id: str
    own_key: bytes  # 32 bytes
    keys: dict[str, set[bytes]] = field(default_factory=dict)  # by agentId in lower case
    signatures: int = 0
    commitments: int = 0
    receipts: int = 0
    unknown: int = 0  # messages of agents of whom no key is known
    _waiting: dict[str, dict[bytes, int]] = field(default_factory=dict)  # ciphertexts sent, by message id
    _claimed: dict[str, int] = field(default_factory=dict)  # entries that say DELIVERED, by message id

    def __post_init__(self) -> None:
        self.keys[agent_key(self.own_id)] = {self.own_key}

    def learn(self, agent_id: str, keys: Iterable[bytes]) -> None:
        """Adds identity keys (32 bytes each) of an agent; the log's owner has but the one that is known."""
        if agent_key(agent_id) == agent_key(self.own_id):
            return
        self.keys.setdefault(agent_key(agent_id), set()).update(keys)

    def check(self, item: Item) -> list[Finding]:
        """Returns what is wrong with an entry's bytes; an empty list where nothing is, or nothing is disclosed."""
        if item.body is None or item.wire is None or item.text("verified") == "bad":
            return []
        if item.text("state") == "REFUSED":  # as it first was, which the entry's hash covers
            return []
        envelope = read_envelope(item)
        if envelope is None:
            return [("WIRE_UNREADABLE", "its wire bytes are no envelope of the protocol")]
        found = _agrees(item, envelope, self.own_id)
        try:
            if envelope.message_type is MessageType.ENCRYPTED:
                found += self._sealed(item, envelope)
            elif envelope.message_type is MessageType.HANDSHAKE:
                found += self._handshake(item, envelope)
            elif envelope.message_type is MessageType.ACK:
                found += self._receipt(item, envelope)
        except WireError as error:
            found.append(("WIRE_UNREADABLE", f"its wire bytes do not follow the protocol ({error.field})"))
        return found

    def unproven(self) -> list[tuple[int, str]]:
        """Returns the entries that say DELIVERED without any receipt in the log, with their message ids."""
        return sorted((seq, message_id) for message_id, seq in self._claimed.items())

    def fingerprints(self) -> Mapping[str, tuple[str, ...]]:
        """Returns the keys that were used, for people to compare."""
        return {peer: tuple(sorted(map(fingerprint, keys))) for peer, keys in sorted(self.keys.items())}

    def _sealed(self, item: Item, envelope: Envelope) -> list[Finding]:
        outgoing = item.text("direction") == "out"
        if not outgoing and item.text("verified") != "good":
            return []
        keys = self.keys.get(agent_key(envelope.sender_id), set())
        if not keys:
            self.unknown += 1  # its handshake is not disclosed, and nobody named a key
            return []
        digest = None
        for key in keys:
            try:
                digest = verify_sealed(envelope, identity_key=key, own_id=envelope.recipient_id).digest
                break
            except CryptoError:
                continue
        if digest is None and outgoing:
            words = f"it is not signed with the key that this log names as that of {self.own_id}"
            return [("IDENTITY", words)]
        if digest is None:
            return [
                (
                    "SIGNATURE",
                    f"the signature of {envelope.sender_id} does not verify under any key known here",
                )
            ]
        self.signatures += 1
        found: list[Finding] = []
        if item.plaintext is not None:
            try:
                check_commitment(item.plaintext, parse(EncryptedContent, envelope.content).commitment)
                self.commitments += 1
            except CryptoError:
                found.append(("COMMITMENT", "its disclosed content is not what was signed"))
        if outgoing:
            self._waiting.setdefault(envelope.message_id, {})[digest] = item.seq
            if item.state == "DELIVERED":
                self._claimed.setdefault(envelope.message_id, item.seq)
        return found

    def _handshake(self, item: Item, envelope: Envelope) -> list[Finding]:
        shown = parse(HandshakeContent, envelope.content).identity_key
        if item.text("direction") != "out":
            if item.text("verified") == "good":
                self.learn(envelope.sender_id, (shown,))
        elif shown != self.own_key:
            return [("IDENTITY", f"{self.own_id} shows another key in it than the one that this log names")]
        return []

    def _receipt(self, item: Item, envelope: Envelope) -> list[Finding]:
        content = parse(AckContent, envelope.content)
        if content.status != "DELIVERED" or item.text("direction") != "in":
            return []
        sent = self._waiting.get(content.message_id)
        if sent is None:
            return []
        keys = self.keys.get(agent_key(envelope.sender_id), set())
        if not keys:
            self._claimed.pop(content.message_id, None)
            return []
        for key in keys:
            for digest in sent:
                try:
                    verify_receipt(key, digest, content.log_head or b"", content.signature or b"")
                except (CryptoError, ValueError):
                    continue
                self.receipts += 1
                self._waiting.pop(content.message_id)
                self._claimed.pop(content.message_id, None)
                return []
        if item.text("verified") != "good":
            return []  # it was not believed then either
        return [("RECEIPT", f"the receipt of {envelope.sender_id} does not verify")]


def read_envelope(item: Item) -> Envelope | None:
    """Returns the envelope that an entry's wire bytes hold, or None."""
    try:
        elements = decode(item.wire or b"", Format(item.text("wireFormat")), max_message_bytes=_MOST_BYTES)
    except ValueError:
        return None
    if len(elements) != 1 or not isinstance(elements[0], Decoded):
        return None
    return elements[0].envelope


def _agrees(item: Item, envelope: Envelope, own_id: str) -> list[Finding]:
    """Compares the entry's fields, and whose log it is, with what the envelope says."""
    outgoing = item.text("direction") == "out"
    ours, theirs = envelope.sender_id, envelope.recipient_id
    if not outgoing:
        ours, theirs = theirs, ours
    pairs = {
        "messageId": (item.text("messageId"), envelope.message_id),
        "conversationId": (item.text("conversationId"), envelope.conversation_id),
        "peer": (agent_key(item.text("peer")), agent_key(theirs)),
    }
    found = [
        ("FIELDS", f"its {name} is not the one in its wire bytes")
        for name, (said, shown) in pairs.items()
        if said != shown
    ]
    if agent_key(ours) != agent_key(own_id):
        found.append(("OWNER", f"it is a message of {ours}, and this is said to be the log of {own_id}"))
    return found
