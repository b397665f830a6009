"""docs/protocol.md sections 2 and 4 by the fast way: it takes what is common, and nothing that is wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.wire import codec
from relay.wire.codec import Format, json_form
from relay.wire.envelope import b64encode
from relay.wire.errors import WireError
from relay.wire.fast import read_json, read_msgpack, to_envelope
from tests.relay.wire.examples import BYTES_FIELDS, CONTENTS, envelope, spoilt

LIMIT = 65_536
COMMON = ("ENCRYPTED", "ACK", "HEARTBEAT")


def text_of(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value)


def data_of(value: dict[str, Any]) -> bytes:
    """msgpack, through the codec, of an envelope in JSON form."""
    return codec.transcode(text_of(value), Format.JSON, Format.MSGPACK)


def slowly(raw: bytes, fmt: Format) -> dict[str, Any] | str:
    """What the slow way makes of the same bytes."""
    try:
        return json_form(codec._decode_slowly(raw, fmt, LIMIT).envelope)
    except WireError as error:
        return str(error)


@pytest.mark.parametrize("kind", COMMON)
def test_what_is_common_is_taken(kind: str) -> None:
    for found in (
        read_json(text_of(envelope(kind)), LIMIT),
        read_json(json.dumps(envelope(kind)).encode(), LIMIT),
        read_msgpack(data_of(envelope(kind)), LIMIT),
    ):
        assert found is not None
        assert found.message_type == kind
        assert json_form(to_envelope(found)) == envelope(kind)


@pytest.mark.parametrize("status", ["ROUTED", "CLOSED", "CONFIRMED"])
def test_the_other_acks_are_taken(status: str) -> None:
    content = {"messageId": "msg_0", "status": status}
    if status == "CONFIRMED":
        content["tag"] = b64encode(b"T" * 32)
    whole = spoilt("content", content, "ACK")
    for found in (read_json(text_of(whole), LIMIT), read_msgpack(data_of(whole), LIMIT)):
        assert found is not None
        assert json_form(to_envelope(found)) == whole


@pytest.mark.parametrize("length", [16, 17, 18, 19, 300])
def test_a_ciphertext_of_any_length_is_taken(length: int) -> None:
    whole = spoilt("content.encryptedData", b64encode(b"\xa5" * length))
    found = read_json(text_of(whole), LIMIT)
    assert found is not None
    assert json_form(to_envelope(found)) == whole


@pytest.mark.parametrize("kind", sorted(set(CONTENTS) - set(COMMON)))
def test_other_types_are_left(kind: str) -> None:
    assert read_json(text_of(envelope(kind)), LIMIT) is None
    assert read_msgpack(data_of(envelope(kind)), LIMIT) is None


@pytest.mark.parametrize("kind", COMMON)
def test_what_is_unusual_is_left(kind: str) -> None:
    for unusual in (
        envelope(kind, extra=1),
        spoilt("metadata.extra", 1, kind),
        spoilt("content.extra", 1, kind),
        envelope(kind, messageId="a/b"),
        envelope(kind, conversationId="a b"),
        envelope(kind, senderId="x"),
        envelope(kind, recipientId="System"),
        envelope(kind, timestamp=-1),
        spoilt("metadata.priority", "URGENT", kind),
    ):
        assert read_json(text_of(unusual), LIMIT) is None
        assert read_msgpack(msgspec.msgpack.encode(unusual), LIMIT) is None


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ENCRYPTED", "content.sessionId", "a b"),
        ("ENCRYPTED", "content.originalType", "ACK"),
        ("ACK", "content.messageId", "a b"),
        ("ACK", "content.status", "CONFIRMED"),
    ],
)
def test_contents_that_do_not_fit_are_left_in_both_formats(kind: str, path: str, value: str) -> None:
    whole = spoilt(path, value, kind)
    assert read_json(text_of(whole), LIMIT) is None
    for name in BYTES_FIELDS[kind]:
        if name in whole["content"]:
            whole["content"][name] = msgspec.json.decode(f'"{whole["content"][name]}"', type=bytes)
    assert read_msgpack(msgspec.msgpack.encode(whole), LIMIT) is None


@pytest.mark.parametrize("name", ["logHead", "signature"])
def test_a_receipt_that_lacks_something_is_left(name: str) -> None:
    content = {key: item for key, item in CONTENTS["ACK"].items() if key != name}
    assert read_json(text_of(spoilt("content", content, "ACK")), LIMIT) is None


def test_a_key_that_stands_twice_is_left() -> None:
    for kind in COMMON:
        text = text_of(envelope(kind))
        assert read_json(text.replace(b'"senderId"', b'"senderId":"agent_mallory","senderId"'), LIMIT) is None
        data = data_of(envelope(kind))
        assert data[0] == 0x88
        pair = b"\xa9timestamp\x00"
        assert read_msgpack(b"\x89" + pair + data[1:], LIMIT) is None


def test_base64_that_is_not_canonical_is_left() -> None:
    for kind, names in BYTES_FIELDS.items():
        for name in names:
            text = CONTENTS[kind].get(name)
            if kind == "HANDSHAKE" or text is None:
                continue
            bare = text.rstrip("=")
            for spoil in {
                bare + "=" * (len(text) - len(bare) + 4),
                "=" + text[1:],
                text[:-4] + "====",
                text[:-4] + "A===",
            }:
                assert read_json(text_of(spoilt(f"content.{name}", spoil, kind)), LIMIT) is None
            if bare != text:
                spoil = bare[:-1] + "B" + text[len(bare) :]
                assert read_json(text_of(spoilt(f"content.{name}", spoil, kind)), LIMIT) is None


@pytest.mark.parametrize("name", ["encryptedData", "nonce"])
@pytest.mark.parametrize(("lender", "ending"), [("signature", "A="), ("commitment", "A")])
def test_padding_that_stands_in_the_wrong_field_is_left(name: str, lender: str, ending: str) -> None:
    whole = envelope()
    for field in BYTES_FIELDS["ENCRYPTED"]:
        bare = whole["content"][field].rstrip("=")
        whole["content"][field] = "A" * len(bare) + "=" * (len(whole["content"][field]) - len(bare))
    assert read_json(text_of(whole), LIMIT) is not None
    whole["content"][name] = "A=" + whole["content"][name][2:]
    whole["content"][lender] = whole["content"][lender][: -len(ending)] + ending
    assert read_json(text_of(whole), LIMIT) is None


def test_a_ciphertext_of_broken_groups_is_left() -> None:
    text = CONTENTS["ENCRYPTED"]["encryptedData"]
    for spoil in (
        text[:-1] + "A=",
        "A" * 25,
        "A" * 22 + "=",
        "A" * 24 + "=",
        "A" * 21 + "==",
        "A" * 24 + "Q==",
        "A" * 24 + "A=",
        "A" * 22 + "B=",
        "A" * 21 + "B==",
    ):
        assert read_json(text_of(spoilt("content.encryptedData", spoil)), LIMIT) is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", "ü".encode(), b"[" * 100_000])
def test_what_cannot_be_read_is_left(data: bytes) -> None:
    assert read_json(data, LIMIT) is None
    assert read_msgpack(data, LIMIT) is None


def test_what_is_too_large_is_left() -> None:
    text = text_of(envelope())
    data = data_of(envelope())
    assert read_json(text, len(text)) is not None
    assert read_json(text, len(text) - 1) is None
    assert read_msgpack(data, len(text)) is not None
    assert read_msgpack(data, len(text) - 1) is None


# ------------------------------------------------------------------------------------------- no judge of its own


def edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The bytes after some were cut out and others put in, place by place."""
    for place, cut, piece in edits:
        at = place % (len(raw) + 1)
        raw = raw[:at] + piece + raw[at + cut :]
    return raw


PIECES = [
    b'"senderId":"agent_mallory",',
    b'"priority":"HIGH",',
    b'"nonce":"AAAA",',
    b'"x":0,',
    b'"x":{"messageId":"msg_1"},',
    b":",
    b" ",
    b",",
    b'"',
    b"\\u003a",
    b"\\ud800",
    b"=",
    b"NaN",
    b"1e3",
    b"-0",
    b"\xff",
    b"null",
]


@given(
    st.sampled_from(COMMON),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 12), st.sampled_from(PIECES))),
)
@example("ENCRYPTED", [(1, 0, b'"senderId":"agent_mallory",')])
def test_whatever_json_the_fast_way_takes_the_slow_way_reads_the_same(
    kind: str, edits: list[tuple[int, int, bytes]]
) -> None:
    raw = edited(text_of(envelope(kind)), edits)
    found = read_json(raw, LIMIT)
    if found is not None:
        assert json_form(to_envelope(found)) == slowly(raw, Format.JSON)


@given(
    st.sampled_from(COMMON),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 3), st.binary(max_size=3)), max_size=3),
)
def test_whatever_msgpack_the_fast_way_takes_the_slow_way_reads_the_same(
    kind: str, edits: list[tuple[int, int, bytes]]
) -> None:
    raw = edited(data_of(envelope(kind)), edits)
    found = read_msgpack(raw, LIMIT)
    if found is not None:
        assert json_form(to_envelope(found)) == slowly(raw, Format.MSGPACK)


@given(st.sampled_from(COMMON), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(kind: str, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    found = read_json(text_of(shuffled(envelope(kind))), LIMIT)
    assert found is not None
    assert json_form(to_envelope(found)) == envelope(kind)


# ------------------------------------------------------------------------------------------- each bound

LENGTHS = {
    "nonce": (32, ""),
    "commitment": (44, "="),
    "signature": (88, "=="),
    "logHead": (44, "="),
    "tag": (44, "="),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ENCRYPTED", name) for name in list(LENGTHS)[:3]]
    + [("ACK", "tag"), ("ACK", "logHead"), ("ACK", "signature")],
)
def test_base64_of_another_length_is_left_though_it_ends_well(kind: str, name: str) -> None:
    length, pad = LENGTHS[name]
    for size, taken in ((length, True), (length - 1, False), (length + 1, False), (length + 4, False)):
        whole = spoilt(f"content.{name}", "A" * (size - len(pad)) + pad, kind)
        assert (read_json(text_of(whole), LIMIT) is not None) is taken


@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK"])
def test_bytes_of_another_length_are_left(kind: str) -> None:
    for name in BYTES_FIELDS[kind]:
        if name == "encryptedData":
            continue
        good = len(
            msgspec.json.decode(f'"{CONTENTS["ENCRYPTED"].get(name) or b64encode(bytes(32))}"', type=bytes)
        )
        for size, taken in ((good, True), (good - 1, False), (good + 1, False)):
            whole = msgspec.msgpack.decode(data_of(envelope(kind)))
            whole["content"][name] = bytes(size)
            assert (read_msgpack(msgspec.msgpack.encode(whole), LIMIT) is not None) is taken


def test_a_ciphertext_is_no_shorter_than_its_tag() -> None:
    for size, taken in ((16, True), (15, False)):
        whole = msgspec.msgpack.decode(data_of(envelope()))
        whole["content"]["encryptedData"] = bytes(size)
        assert (read_msgpack(msgspec.msgpack.encode(whole), LIMIT) is not None) is taken
    assert read_json(text_of(spoilt("content.encryptedData", "A" * 24)), LIMIT) is not None
    assert read_json(text_of(spoilt("content.encryptedData", "A" * 20)), LIMIT) is None


@pytest.mark.parametrize(
    "kind", ["QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION", "DISCONNECT", "ERROR"]
)
def test_each_type_that_travels_sealed_is_taken(kind: str) -> None:
    whole = spoilt("content.originalType", kind)
    assert read_json(text_of(whole), LIMIT) is not None
    assert read_msgpack(data_of(whole), LIMIT) is not None


@pytest.mark.parametrize("time", [0, 2**53 - 1])
def test_the_first_and_the_last_time_are_taken(time: int) -> None:
    whole = spoilt("content.timestamp", time, "HEARTBEAT")
    whole["timestamp"] = time
    assert read_json(text_of(whole), LIMIT) is not None
    assert read_msgpack(data_of(whole), LIMIT) is not None
    for spoil in (spoilt("content.timestamp", 2**53, "HEARTBEAT"), envelope("HEARTBEAT", timestamp=2**53)):
        assert read_json(text_of(spoil), LIMIT) is None
        assert read_msgpack(msgspec.msgpack.encode(spoil), LIMIT) is None


@pytest.mark.parametrize("foreign", '._-: =,{}[]!~@\x7fé\\"')
@pytest.mark.parametrize("name", ["encryptedData", "nonce", "signature", "commitment"])
def test_a_character_foreign_to_base64_is_left_wherever_it_stands(name: str, foreign: str) -> None:
    text = CONTENTS["ENCRYPTED"][name]
    for at in (0, len(text) // 2):
        whole = spoilt(f"content.{name}", text[:at] + foreign + text[at + 1 :])
        for raw in (text_of(whole), json.dumps(whole, ensure_ascii=False).encode()):
            assert read_json(raw, LIMIT) is None


@pytest.mark.parametrize("name", ["logHead", "signature", "tag"])
@pytest.mark.parametrize("foreign", [".", "-", " ", "é"])
def test_a_character_foreign_to_base64_is_left_in_an_ack(name: str, foreign: str) -> None:
    good = spoilt("content.tag", b64encode(b"T" * 32), "ACK")
    assert read_json(json.dumps(good).encode(), LIMIT) is not None
    good["content"][name] = foreign + good["content"][name][1:]
    for raw in (text_of(good), json.dumps(good).encode()):
        assert read_json(raw, LIMIT) is None


@pytest.mark.parametrize("digit", "/+")
def test_the_last_of_the_alphabet_is_taken(digit: str) -> None:
    assert read_json(text_of(spoilt("content.nonce", digit * 32)), LIMIT) is not None


@pytest.mark.parametrize("space", [" ", "\t", "\r", "\n", "\r\n  "])
@pytest.mark.parametrize("kind", COMMON)
def test_white_space_between_members_is_taken(kind: str, space: str) -> None:
    text = json.dumps(envelope(kind), separators=(f",{space}", f":{space}"))
    assert read_json(text.encode(), LIMIT) is not None


@pytest.mark.parametrize("kind", COMMON)
def test_ids_of_letters_alone_and_of_marks_alone_are_taken(kind: str) -> None:
    for name, party in (("a", "ab"), (":._-", "a.-")):
        whole = envelope(kind, messageId=name, conversationId=name, senderId=party, recipientId=party)
        if kind == "ENCRYPTED":
            whole["content"]["sessionId"] = name
        if kind == "ACK":
            whole["content"]["messageId"] = name
        assert read_json(text_of(whole), LIMIT) is not None
        assert read_msgpack(data_of(whole), LIMIT) is not None


@pytest.mark.parametrize("name", ["messageId", "conversationId", "sessionId", "acked"])
def test_an_id_that_is_empty_or_too_long_is_left(name: str) -> None:
    kind = "ACK" if name == "acked" else "ENCRYPTED"
    place = {"sessionId": "content.sessionId", "acked": "content.messageId"}.get(name, name)
    for value, taken in (("", False), ("x" * 65, False), ("x" * 64, True)):
        text = text_of(spoilt(place, value, kind))
        assert (read_json(text, LIMIT) is not None) is taken
        whole = msgspec.msgpack.decode(data_of(envelope(kind)))
        inner = whole["content"] if place.startswith("content") else whole
        inner[place.removeprefix("content.")] = value
        assert (read_msgpack(msgspec.msgpack.encode(whole), LIMIT) is not None) is taken


def test_an_object_nested_beyond_any_reader_is_left() -> None:
    for kind in COMMON:
        text = text_of(envelope(kind))
        assert read_json(text[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}", LIMIT) is None
        data = data_of(envelope(kind))
        assert read_msgpack(b"\x89" + data[1:] + b"\xa1x" + b"\x91" * 5000 + b"\xc0", LIMIT) is None


def test_without_any_padding_nothing_is_taken() -> None:
    whole = envelope()
    for name, size in (("encryptedData", 24), ("signature", 88), ("commitment", 44)):
        whole["content"][name] = "A" * size
    assert read_json(text_of(whole), LIMIT) is None


@pytest.mark.parametrize("name", ["messageId", "senderId", "recipientId", "conversationId"])
def test_text_that_is_not_utf_8_is_left_wherever_it_stands(name: str) -> None:
    whole = spoilt(name, "an-id-to-spoil")
    for raw, read in ((text_of(whole), read_json), (data_of(whole), read_msgpack)):
        broken = raw.replace(b"an-id-to-spoil", b"an-id-to-\xffpoil")
        assert broken != raw
        assert read(broken, LIMIT) is None
