"""What sealing and opening one message cost beside the bare primitives that they need.

One QUERY whose content is 1 KiB, over and over, in one process. Each operation stands beside the sum of the libsodium
and OpenSSL calls that the protocol asks for, on inputs of the very same lengths; the rest is canonical JSON,
base64, padding and checks. Bounds: seal ≤ 2.5 x and open ≤ 2 x that sum.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import timeit
from collections.abc import Callable

import nacl.bindings as sodium

from agentnet_desktop.crypto.handshake import (
    build_initiation,
    build_response,
    check_initiation,
    check_response,
    derive,
)
from agentnet_desktop.crypto.keys import EphemeralKey, IdentityKey
from agentnet_desktop.crypto.session import Opened, Sealed, SessionKeys, open_sealed, seal, verify_sealed
from agentnet_desktop.protocol.canonical import jcs
from benchmarks.table import Table
from relay.wire.envelope import Envelope, MessageType, metadata

_CONTENT_BYTES = 1024
_BATCH = 50
_ALICE = IdentityKey.from_seed(b"a" * 32)
_BOB = IdentityKey.from_seed(b"b" * 32)


def main(short: bool) -> int:
    """Measure, print the table, and return 0 when both bounds are kept."""
    keys, content = _handshake(), _content()
    sealed = _seal(keys, content)
    if _open(sealed.envelope, keys).content != content:
        raise RuntimeError("the message did not come back as it went")
    calls = {
        **_primitives(sealed, keys),
        "seal": lambda: _seal(keys, content),
        "open": lambda: _open(sealed.envelope, keys),
    }
    cost = _micros(calls, rounds=60 if short else 300)
    seal_us, open_us = cost.pop("seal"), cost.pop("open")
    handshake_us = _micros({"handshake": _handshake}, rounds=20)["handshake"]
    hashing = cost["SHA-256 of the plaintext"] + 2 * cost["SHA-256 of header and text"]
    seal_sum = cost["Ed25519 sign"] + cost["XChaCha20-Poly1305 encrypt"] + cost["HMAC-SHA256"] + hashing
    hashing -= cost["SHA-256 of header and text"]
    open_sum = cost["Ed25519 verify"] + cost["XChaCha20-Poly1305 decrypt"] + hashing
    table = Table(
        f"Sealing and opening {_CONTENT_BYTES} bytes of content", ("", "µs", "primitives' sum", "ratio")
    )
    for name, value in cost.items():
        table.row(name, value, "", "")
    table.row("seal", seal_us, seal_sum, seal_us / seal_sum)
    table.row("verify and open", open_us, open_sum, open_us / open_sum)
    table.row("whole handshake, both sides", handshake_us, "", "")
    table.bound("seal / primitives", seal_us / seal_sum, "<=", 2.5)
    table.bound("open / primitives", open_us / open_sum, "<=", 2.0)
    return table.finish()


def _micros(calls: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """The least time of each call, in µs. They take turns in short batches, so that a busy machine slows all alike."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], timeit.timeit(call, number=_BATCH) / _BATCH * 1e6)
    return best


def _primitives(sealed: Sealed, keys: SessionKeys) -> dict[str, Callable[[], object]]:
    """The calls that the protocol cannot do without, on the lengths of this message."""
    verified = verify_sealed(sealed.envelope, identity_key=_ALICE.public, own_id="agent_bob")
    ciphertext, nonce, header = verified.content.encrypted_data, verified.content.nonce, verified.header
    padded = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, header, nonce, keys.encryption_key)
    signed = b"agentnet/v1/message\0" + nonce + ciphertext + header
    public, secret = sodium.crypto_sign_seed_keypair(b"a" * 32)
    signature_and_text = sodium.crypto_sign(signed, secret)
    key, iv_base = keys.encryption_key, keys.iv_base
    plaintext, both = sealed.plaintext, header + sealed.plaintext
    return {
        "Ed25519 sign": lambda: sodium.crypto_sign(signed, secret),
        "Ed25519 verify": lambda: sodium.crypto_sign_open(signature_and_text, public),
        "XChaCha20-Poly1305 encrypt": lambda: sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            padded, header, nonce, key
        ),
        "XChaCha20-Poly1305 decrypt": lambda: sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            ciphertext, header, nonce, key
        ),
        "SHA-256 of the plaintext": lambda: hashlib.sha256(plaintext).digest(),
        "SHA-256 of header and text": lambda: hashlib.sha256(both).digest(),
        "HMAC-SHA256": lambda: hmac.digest(iv_base, bytes(72), "sha256"),
    }


def _content() -> dict[str, object]:
    content: dict[str, object] = {
        "requestId": "req_01JC5Z0000EXAMPLE0000000000",
        "queryType": "AVAILABILITY",
        "parameters": {
            "startDate": "2026-06-01T00:00:00Z",
            "endDate": "2026-06-07T23:59:59Z",
            "timeZone": "America/New_York",
            "durationMinutes": 45,
            "slots": [{"start": "2026-06-01T09:00:00Z", "end": "2026-06-01T10:00:00Z"}] * 8,
            "note": "",
        },
    }
    parameters = content["parameters"]
    if isinstance(parameters, dict):
        parameters["note"] = "x" * (_CONTENT_BYTES - len(jcs(content)))
    return content


def _seal(keys: SessionKeys, content: dict[str, object]) -> Sealed:
    return seal(
        keys,
        _ALICE,
        session_id="sess_01JC5Z0000EXAMPLE0000000000",
        seq=7,
        message_id="msg_01JC5Z0000EXAMPLE0000000000",
        conversation_id="conv_01JC5Z0000EXAMPLE0000000000",
        sender_id="agent_alice",
        recipient_id="agent_bob",
        original_type=MessageType.QUERY,
        content=content,
        timestamp=1_790_000_000_000,
        metadata=metadata(encrypted=True, requires_response=True),
        opening=b"o" * 32,
        hedge=b"h" * 32,
    )


def _open(envelope: Envelope, keys: SessionKeys) -> Opened:
    return open_sealed(verify_sealed(envelope, identity_key=_ALICE.public, own_id="agent_bob"), keys)


def _handshake() -> SessionKeys:
    mine, theirs = EphemeralKey.from_seed(b"c" * 32), EphemeralKey.from_seed(b"d" * 32)
    asked = build_initiation(
        _ALICE,
        mine,
        agent_id="agent_alice",
        peer_id="agent_bob",
        conversation_id="conv_1",
        message_id="msg_1",
        session_id="sess_1",
        timestamp=1,
    )
    offer = check_initiation(asked, own_id="agent_bob")
    answered = build_response(_BOB, theirs, offer, message_id="msg_2", timestamp=2)
    choice = check_response(answered, initiation=asked, own_id="agent_alice")
    derive(theirs.private, offer.public_key, initiation=asked, response=answered)
    return derive(mine.private, choice.public_key, initiation=asked, response=answered)


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv))
