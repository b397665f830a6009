"""docs/protocol.md sections 2 (formats), 3.3 (batches), 3.4 (sizes) and 4 (envelope), through `codec` whole."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.wire import codec
from relay.wire.codec import (
    Decoded,
    Format,
    Routed,
    decode,
    decode_routing,
    encode,
    encode_batch,
    frame_limit,
    join_batch,
    json_form,
    transcode,
)
from relay.wire.envelope import MessageType, b64encode
from relay.wire.errors import WireError
from tests.relay.wire.examples import BYTES_FIELDS, CONTENTS, FIELDS, envelope, lacking, spoilt

BOTH = list(Format)


def packed(value: dict[str, Any]) -> dict[str, Any]:
    """The msgpack form of an envelope in JSON form: bytes where the bytes fields are."""
    form = copy.deepcopy(value)
    content = form.get("content")
    for name in BYTES_FIELDS.get(str(form.get("messageType")), ()):
        if isinstance(content, dict) and isinstance(content.get(name), str):
            content[name] = base64.b64decode(content[name])
    return form


def written(value: Any, fmt: Format) -> bytes:
    """A value as another implementation would write it."""
    if fmt is Format.JSON:
        return json.dumps(value, ensure_ascii=False).encode()
    return msgspec.msgpack.encode(
        [packed(one) for one in value] if isinstance(value, list) else packed(value)
    )


def one(frame: bytes | str, fmt: Format, **limits: int) -> Decoded:
    """The one good envelope of a frame; the relay's way of reading must see the same."""
    (found,) = decode(frame, fmt, **limits)
    (routed,) = decode_routing(frame, fmt, **limits)
    assert isinstance(found, Decoded), found
    assert isinstance(routed, Routed), routed
    assert routed == Routed(
        found.envelope.message_id,
        found.envelope.conversation_id,
        found.envelope.sender_id,
        found.envelope.recipient_id,
        found.envelope.message_type,
        found.raw,
        len(found.raw),
    )
    return found


def refused(frame: bytes | str, fmt: Format, **limits: int) -> WireError:
    """The one error of a frame; the relay's way of reading must see the same."""
    (error,) = decode(frame, fmt, **limits)
    (routed,) = decode_routing(frame, fmt, **limits)
    assert isinstance(error, WireError), error
    assert isinstance(routed, WireError), routed
    assert (str(routed), routed.message_id, routed.details) == (str(error), error.message_id, error.details)
    return error


# ------------------------------------------------------------------------------------------- good


def test_the_subprotocols_are_named_after_their_formats() -> None:
    assert [fmt.subprotocol for fmt in Format] == ["agentnet.v1+json", "agentnet.v1+msgpack"]


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_type_is_read_and_written_back(kind: str, fmt: Format) -> None:
    found = one(written(envelope(kind), fmt), fmt)
    assert json_form(found.envelope) == envelope(kind)
    assert found.envelope.message_type is MessageType(kind)
    again = encode(found.envelope, fmt)
    assert one(again, fmt) == Decoded(found.envelope, again)


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", CONTENTS)
def test_what_came_is_kept_byte_for_byte(kind: str, fmt: Format) -> None:
    frame = written(envelope(kind), fmt)
    assert one(frame, fmt).raw == frame


def test_a_text_frame_may_be_given_as_text() -> None:
    text = json.dumps(envelope())
    assert one(text, Format.JSON).raw == text.encode()
    assert refused('{"a":"\ud800"}', Format.JSON).reason == "is not UTF-8"


@pytest.mark.parametrize("kind", BYTES_FIELDS)
def test_bytes_fields_are_bin_in_msgpack_and_base64_in_json(kind: str) -> None:
    whole = envelope(kind)
    for name in BYTES_FIELDS[kind]:
        whole["content"].setdefault(name, b64encode(b"X" * 32))
    found = one(written(whole, Format.JSON), Format.JSON).envelope
    on_wire = msgspec.msgpack.decode(encode(found, Format.MSGPACK))
    assert on_wire == packed(whole)
    assert {name for name, item in on_wire["content"].items() if isinstance(item, bytes)} == set(
        BYTES_FIELDS[kind]
    )


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HEARTBEAT", "HANDSHAKE"])
def test_order_and_spelling_of_fields_do_not_matter(kind: str, fmt: Format) -> None:
    backwards = {
        name: dict(reversed(item.items())) if isinstance(item, dict) else item
        for name, item in reversed(envelope(kind).items())
    }
    assert json_form(one(written(backwards, fmt), fmt).envelope) == envelope(kind)
    spelled = json.dumps(envelope(kind)).replace('"messageId"', '"message\\u0049d"')
    assert json_form(one(spelled, Format.JSON).envelope) == envelope(kind)


@pytest.mark.parametrize("fmt", BOTH)
def test_an_auth_message_shows_no_token_and_another_all_but_its_bytes(fmt: Format) -> None:
    auth = envelope("AUTH", content={"token": "hush-hush", "agentId": "agent_alice", "invite": "hush-too"})
    assert "hush" not in repr(one(written(auth, fmt), fmt))
    found = one(written(envelope("HEARTBEAT"), fmt), fmt)
    assert "content={'timestamp': " in repr(found)
    assert f"raw={len(found.raw)} bytes" in repr(found)


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HANDSHAKE", "QUERY"])
def test_unknown_fields_inside_are_kept_and_outside_dropped_and_named(kind: str, fmt: Format) -> None:
    whole = envelope(kind, zeta=1, alpha={"deep": [None]})
    whole["content"]["extra"] = {"kept": [1, 2.5, "ü"]}
    whole["metadata"]["trace"] = ["kept"]
    found = one(written(whole, fmt), fmt)
    assert found.dropped == ("zeta", "alpha")
    assert found.envelope.content["extra"] == {"kept": [1, 2.5, "ü"]}
    assert found.envelope.metadata["trace"] == ["kept"]
    assert set(json_form(found.envelope)) == set(FIELDS)


@pytest.mark.parametrize("kind", BYTES_FIELDS)
def test_an_optional_bytes_field_may_be_null(kind: str) -> None:
    whole = envelope("HANDSHAKE")
    whole["content"]["contactProof"] = None
    for fmt in BOTH:
        found = one(written(whole, fmt), fmt).envelope
        assert found.content["contactProof"] is None
        assert json_form(one(encode(found, fmt), fmt).envelope) == whole


@pytest.mark.parametrize("kind", CONTENTS)
def test_an_envelope_says_the_same_in_the_other_format(kind: str) -> None:
    text = encode(one(written(envelope(kind), Format.JSON), Format.JSON).envelope, Format.JSON)
    data = transcode(text, Format.JSON, Format.MSGPACK)
    assert json_form(one(data, Format.MSGPACK).envelope) == envelope(kind)
    assert transcode(data, Format.MSGPACK, Format.JSON) == text
    assert transcode(text, Format.JSON, Format.JSON) is text


def test_only_what_fits_is_written_in_the_other_format() -> None:
    dropped = json.dumps(envelope("QUERY", extra=1)).encode()
    assert b"extra" not in transcode(dropped, Format.JSON, Format.MSGPACK)
    with pytest.raises(WireError, match=r"^content.nonce: is not canonical base64$"):
        transcode(written(spoilt("content.nonce", "QS=="), Format.JSON), Format.JSON, Format.MSGPACK)


def test_what_is_not_base64_is_not_written_as_bin() -> None:
    found = one(written(envelope(), Format.JSON), Format.JSON).envelope
    found.content["nonce"] = "QS=="
    with pytest.raises(WireError, match=r"^content.nonce: "):
        encode(found, Format.MSGPACK)


# ------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HEARTBEAT", "QUERY"])
def test_each_of_the_eight_fields_is_missed_by_name(kind: str, name: str, fmt: Format) -> None:
    error = refused(written(lacking(name, kind), fmt), fmt)
    assert str(error) == f"{name}: is missing"
    assert error.message_id == (None if name == "messageId" else "msg_1")


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, True, 1.5, [], "\n"])
def test_each_of_the_eight_fields_of_another_type_is_refused_by_name(
    name: str, value: Any, fmt: Format
) -> None:
    for kind in ("ENCRYPTED", "QUERY"):
        assert refused(written(spoilt(name, value, kind), fmt), fmt).field == name


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messageId", ""),
        ("messageId", "x" * 65),
        ("conversationId", "a b"),
        ("senderId", "_alice"),
        ("senderId", "SYSTEM"),
        ("recipientId", "b"),
        ("messageType", "GOSSIP"),
        ("messageType", "encrypted"),
        ("timestamp", -1),
        ("metadata.priority", "URGENT"),
        ("metadata.encrypted", "true"),
        ("metadata.requiresResponse", 0),
        ("content.originalType", "ACK"),
        ("content.sessionId", "a b"),
        ("content.encryptedData", b64encode(b"x")),
        ("content.nonce", b64encode(b"x" * 23)),
        ("content.signature", b64encode(b"x" * 63)),
        ("content.commitment", b64encode(b"x" * 33)),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(path: str, value: Any, fmt: Format) -> None:
    error = refused(written(spoilt(path, value), fmt), fmt)
    assert error.field == path


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("name", ["priority", "encrypted", "requiresResponse"])
def test_each_field_of_the_metadata_is_missed_by_name(name: str, fmt: Format) -> None:
    assert str(refused(written(lacking(f"metadata.{name}"), fmt), fmt)) == f"metadata.{name}: is missing"


@pytest.mark.parametrize("name", BYTES_FIELDS["ENCRYPTED"])
@pytest.mark.parametrize("change", ["last bits", "alphabet", "padding", "space"])
def test_base64_of_a_sealed_message_is_canonical_or_refused_by_name(name: str, change: str) -> None:
    text = CONTENTS["ENCRYPTED"][name]
    bare = text.rstrip("=")
    spoil = {
        "last bits": bare[:-1] + chr(ord(bare[-1]) + 1) + text[len(bare) :],
        "alphabet": "-" + text[1:],
        "padding": text[:-1] if text.endswith("=") else text[:-1] + "=",
        "space": text[:8] + " " + text[9:],
    }[change]
    if change == "last bits" and text == bare:
        return  # a whole group has no unused bits
    error = refused(written(spoilt(f"content.{name}", spoil), Format.JSON), Format.JSON)
    assert str(error) == f"content.{name}: is not canonical base64"


@given(st.integers(16, 60), st.text(st.sampled_from("AQgwZ9+/=-"), max_size=4))
def test_no_spelling_but_one_of_a_ciphertext_is_read(length: int, end: str) -> None:
    text = b64encode(bytes(length))[: -len(end) or None] + end
    found = decode_routing(written(spoilt("content.encryptedData", text), Format.JSON), Format.JSON)
    canonical = len(text) % 4 == 0 and set(text.rstrip("=")) <= set("AQgwZ9+/")
    if canonical:
        try:
            canonical = b64encode(base64.b64decode(text)) == text
        except ValueError:
            canonical = False
    assert isinstance(found[0], Routed) is canonical


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"logHead": None}, "content.logHead"),
        ({"signature": None}, "content.signature"),
        ({"status": "CONFIRMED"}, "content.tag"),
        ({"status": "READ"}, "content.status"),
        ({"messageId": "a b"}, "content.messageId"),
        ({"tag": b64encode(b"x" * 31)}, "content.tag"),
    ],
)
def test_an_ack_that_lacks_something_is_refused_by_name(
    change: dict[str, Any], field: str, fmt: Format
) -> None:
    content = {name: item for name, item in {**CONTENTS["ACK"], **change}.items() if item is not None}
    assert refused(written(spoilt("content", content, "ACK"), fmt), fmt).field == field


@pytest.mark.parametrize("name", ["logHead", "signature", "tag"])
def test_base64_of_an_ack_is_canonical_or_refused_by_name(name: str) -> None:
    length = 64 if name == "signature" else 32
    text = b64encode(bytes(length))
    bare = text.rstrip("=")
    for spoil in (bare[:-1] + "B" + text[len(bare) :], text[:-1] + "!", "!" + text[1:]):
        frame = written(spoilt(f"content.{name}", spoil, "ACK"), Format.JSON)
        assert str(refused(frame, Format.JSON)) == f"content.{name}: is not canonical base64"


@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HEARTBEAT", "QUERY"])
@pytest.mark.parametrize("path", ["senderId", "timestamp", "metadata.encrypted", "content"])
def test_a_key_that_stands_twice_is_refused_by_name(kind: str, path: str) -> None:
    whole = envelope(kind)
    *parents, last = path.split(".")
    text = json.dumps(whole, separators=(",", ":"))
    inner = whole
    for name in parents:
        inner = inner[name]
    member = f'"{last}":{json.dumps(inner[last], separators=(",", ":"))}'
    assert str(refused(text.replace(member, f"{member},{member}"), Format.JSON)) == f"{path}: stands twice"
    data = msgspec.msgpack.encode(packed(whole))
    key = msgspec.msgpack.encode(last)
    item = packed(whole)
    for name in (*parents, last):
        item = item[name]
    pair = key + msgspec.msgpack.encode(item)
    size = len(packed(whole)[parents[0]] if parents else whole)
    owner = msgspec.msgpack.encode(parents[0]) if parents else b""
    doubled = data.replace(owner + bytes((0x80 | size,)), owner + bytes((0x81 + size,)), 1)
    doubled = doubled.replace(pair, pair + pair)
    assert str(refused(doubled, Format.MSGPACK)) == f"{path}: stands twice"


@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HEARTBEAT"])
def test_a_key_that_stands_twice_does_not_hide_behind_a_missing_one(kind: str) -> None:
    content = next(iter(CONTENTS[kind]))
    text = json.dumps(lacking(f"content.{content}", kind))
    doubled = text.replace('"senderId"', '"senderId": "agent_mallory", "senderId"')
    assert refused(doubled, Format.JSON).field == "senderId"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "is not a finite number"),
        ("-Infinity", "is not a finite number"),
        ("1e400", "is not a finite number"),
        ("9007199254740992", "is an integral number beyond 2**53 - 1"),
        ("1e16", "is an integral number beyond 2**53 - 1"),
        ('"\\ud800"', "holds a lone surrogate"),
    ],
)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "QUERY"])
def test_what_no_language_carries_is_refused_wherever_it_stands(kind: str, value: str, reason: str) -> None:
    for place in ("content", "metadata"):
        text = json.dumps(spoilt(f"{place}.extra", "HERE", kind)).replace('"HERE"', value)
        error = refused(text, Format.JSON)
        assert str(error) == f"{place}.extra: {reason}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xca\x3f\x80\x00\x00", "is a float32"),
        (b"\xd6\xff\x00\x00\x00\x00", "is a msgpack ext type"),
        (b"\xcb\x7f\xf8\0\0\0\0\0\0", "is not a finite number"),
        (b"\xc4\x01a", "is bin where no bytes field is"),
        (b"\xa1\xff", "is not UTF-8"),
    ],
)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "QUERY"])
def test_what_json_does_not_have_is_refused_in_msgpack(kind: str, value: bytes, reason: str) -> None:
    for place in ("content", "metadata"):
        data = written(spoilt(f"{place}.extra", "HERE", kind), Format.MSGPACK)
        error = refused(data.replace(b"\xa4HERE", value), Format.MSGPACK)
        assert str(error) == f"{place}.extra: {reason}"
        assert error.message_id in ("msg_1", None)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in BYTES_FIELDS.items() for n in names])
def test_a_bytes_field_that_is_not_bin_is_refused_in_msgpack(kind: str, name: str) -> None:
    whole = packed(envelope(kind))
    whole["content"][name] = b64encode(bytes(32))
    error = refused(msgspec.msgpack.encode(whole), Format.MSGPACK)
    assert str(error) == f"content.{name}: is not bin"


def test_bin_is_refused_in_a_field_that_is_bytes_in_another_type() -> None:
    whole = spoilt("content.nonce", b"N" * 24, "QUERY")
    error = refused(msgspec.msgpack.encode(whole), Format.MSGPACK)
    assert str(error) == "content.nonce: is bin where no bytes field is"


@pytest.mark.parametrize("kind", ["ENCRYPTED", "QUERY"])
@pytest.mark.parametrize("fmt", BOTH)
def test_nesting_over_sixteen_is_refused_by_name(kind: str, fmt: Format) -> None:
    deep: Any = 0
    for _ in range(14):
        deep = [deep]
    one(written(spoilt("content.extra", deep, kind), fmt), fmt)
    error = refused(written(spoilt("content.extra", [deep], kind), fmt), fmt)
    assert error.reason == "is nested over 16 deep"
    assert error.field.startswith("content.extra[0]")


@pytest.mark.parametrize(
    ("frame", "fmt", "expected"),
    [
        (b"", Format.JSON, "frame: is not JSON"),
        (b"{", Format.JSON, "frame: is not JSON"),
        (b'"text"', Format.JSON, "envelope: is not an object"),
        (b" 1", Format.JSON, "envelope: is not an object"),
        (b"{}", Format.JSON, "messageId: is missing"),
        (b"[1,", Format.JSON, "frame: is not JSON"),
        (b"[" * 50_000, Format.JSON, "frame: is nested over 16 deep"),
        (b'{"a":"\xff"}', Format.JSON, "frame: is not UTF-8"),
        (b"", Format.MSGPACK, "frame: is not msgpack"),
        (b"\xc1", Format.MSGPACK, "frame: is not msgpack"),
        (b"\x01", Format.MSGPACK, "envelope: is not an object"),
        (b"\x80", Format.MSGPACK, "messageId: is missing"),
        (b"\x92\x80", Format.MSGPACK, "frame: is not msgpack"),
        (b"\x91" * 50_000 + b"\xc0", Format.MSGPACK, "frame: is nested over 16 deep"),
        (b"\x88", Format.MSGPACK, "frame: is not msgpack"),
        (b"{}", Format.MSGPACK, "frame: has bytes after its end"),
    ],
)
def test_a_frame_that_cannot_be_read_is_one_error(frame: bytes, fmt: Format, expected: str) -> None:
    assert str(refused(frame, fmt)) == expected


def test_a_message_id_is_told_only_if_it_is_one() -> None:
    assert refused(b'{"messageId":"msg_7","a":1,"a":1}', Format.JSON).message_id == "msg_7"
    assert refused(b'{"messageId":"no id","a":1,"a":1}', Format.JSON).message_id is None
    assert refused(b'{"messageId":7}', Format.JSON).message_id is None


# ------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 64])
def test_a_batch_of_up_to_64_is_read_in_order(count: int, fmt: Format) -> None:
    wholes = [envelope(list(CONTENTS)[at % len(CONTENTS)], messageId=f"msg_{at}") for at in range(count)]
    found = decode(written(wholes, fmt), fmt)
    assert [json_form(each.envelope) for each in found if isinstance(each, Decoded)] == wholes
    routed = decode_routing(written(wholes, fmt), fmt)
    assert [each.message_id for each in routed if isinstance(each, Routed)] == [
        f"msg_{at}" for at in range(count)
    ]


@pytest.mark.parametrize("fmt", BOTH)
def test_each_element_of_a_batch_keeps_its_own_bytes(fmt: Format) -> None:
    wholes = [envelope(kind) for kind in CONTENTS]
    raws = [written(whole, fmt) for whole in wholes]
    frame = join_batch(raws, fmt)
    assert [each.raw for each in decode(frame, fmt) if isinstance(each, Decoded)] == raws
    assert [each.raw for each in decode_routing(frame, fmt) if isinstance(each, Routed)] == raws


@pytest.mark.parametrize("fmt", BOTH)
def test_the_elements_of_a_batch_fail_alone(fmt: Format) -> None:
    wholes = [envelope(), lacking("timestamp"), envelope("ACK"), spoilt("senderId", "?"), envelope("QUERY")]
    found = decode(written(wholes, fmt), fmt)
    assert [str(each) if isinstance(each, WireError) else each.envelope.message_type for each in found] == [
        "ENCRYPTED",
        "timestamp: is missing",
        "ACK",
        "senderId: is not an agent id",
        "QUERY",
    ]


@pytest.mark.parametrize("value", ["NaN", '"\\ud800"', "1e999", '{"b":1,"b":2}'])
def test_an_element_that_no_reader_likes_leaves_the_others_alone(value: str) -> None:
    bad = json.dumps(spoilt("content.extra", "HERE")).replace('"HERE"', value)
    frame = f"[{json.dumps(envelope())},{bad}, {json.dumps(envelope('ACK'))}]"
    first, second, third = decode(frame, Format.JSON)
    assert isinstance(first, Decoded)
    assert isinstance(second, WireError)
    assert second.field.startswith("content.extra")
    assert second.message_id == "msg_1"
    assert isinstance(third, Decoded)


@pytest.mark.parametrize("fmt", BOTH)
def test_a_batch_holds_neither_none_nor_more_than_64(fmt: Format) -> None:
    for count in (0, 65):
        error = refused(written([envelope()] * count, fmt), fmt)
        assert str(error) == "frame: a batch holds 1 to 64 envelopes"
        assert error.details == {"limit": 64}


def test_a_batch_of_far_too_many_is_refused_even_if_no_reader_likes_it() -> None:
    assert (
        str(refused("[" + "NaN," * 65 + "nonsense", Format.JSON)) == "frame: a batch holds 1 to 64 envelopes"
    )


@pytest.mark.parametrize("fmt", BOTH)
def test_a_batch_is_flat(fmt: Format) -> None:
    inner = written([envelope()], fmt)
    head = {Format.JSON: b"[", Format.MSGPACK: b"\x91"}[fmt]
    tail = {Format.JSON: b"]", Format.MSGPACK: b""}[fmt]
    assert str(refused(head + inner + tail, fmt)) == "envelope: is not an object"


@pytest.mark.parametrize("fmt", BOTH)
def test_a_batch_of_one_is_written_without_a_batch(fmt: Format) -> None:
    made = one(written(envelope(), fmt), fmt).envelope
    assert encode_batch([made], fmt) == encode(made, fmt)
    assert len(decode(encode_batch([made] * 64, fmt), fmt)) == 64


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("count", [2, 15, 16, 64])
def test_a_batch_that_is_written_is_read(count: int, fmt: Format) -> None:
    made = one(written(envelope("HEARTBEAT"), fmt), fmt).envelope
    found = decode(encode_batch([made] * count, fmt), fmt)
    assert [each.envelope for each in found if isinstance(each, Decoded)] == [made] * count


@pytest.mark.parametrize("count", [0, 65])
def test_a_batch_that_would_be_refused_is_not_written(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        join_batch([b"{}"] * count, Format.JSON)


def test_a_batch_may_stand_between_spaces() -> None:
    assert len(decode(f" \r\n[ {json.dumps(envelope())} ]\t", Format.JSON)) == 1
    assert isinstance(decode(f"\n {json.dumps(envelope())} ", Format.JSON)[0], Decoded)


def test_a_batch_written_with_a_wide_header_is_read() -> None:
    raw = written(envelope(), Format.MSGPACK)
    for head in (b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"):
        assert isinstance(decode(head + raw, Format.MSGPACK)[0], Decoded)


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("kind", ["ENCRYPTED", "QUERY", "HANDSHAKE"])
def test_a_message_over_the_limit_is_refused_with_the_limit(kind: str) -> None:
    text = msgspec.json.encode(envelope(kind))
    one(text, Format.JSON, max_message_bytes=len(text))
    error = refused(text, Format.JSON, max_message_bytes=len(text) - 1)
    assert (error.field, error.message_id) == ("envelope", "msg_1")
    assert error.details == {"limit": len(text) - 1, "size": len(text)}


@pytest.mark.parametrize("kind", ["ENCRYPTED", "QUERY", "HANDSHAKE"])
def test_a_size_is_counted_in_json_form_in_msgpack_too(kind: str) -> None:
    whole = envelope(kind)
    if kind == "ENCRYPTED":
        whole["content"]["encryptedData"] = b64encode(bytes(30_000))
    size = len(msgspec.json.encode(whole))
    data = written(whole, Format.MSGPACK)
    assert len(data) < size
    one(data, Format.MSGPACK, max_message_bytes=size)
    assert refused(data, Format.MSGPACK, max_message_bytes=size - 1).details == {
        "limit": size - 1,
        "size": size,
    }


def test_a_text_that_grows_in_json_is_counted_as_it_grows() -> None:
    whole = spoilt("content.parameters", {"x": "\x01" * 20_000}, "QUERY")
    error = refused(written(whole, Format.MSGPACK), Format.MSGPACK)
    assert error.details["size"] > 120_000


def test_spaces_count_in_json() -> None:
    text = json.dumps(envelope(), indent=4).encode()
    assert refused(text, Format.JSON, max_message_bytes=len(text) - 1).details["size"] == len(text)


def test_the_limit_is_of_each_element_and_not_of_the_batch() -> None:
    size = len(written(envelope(), Format.JSON))
    found = decode(written([envelope()] * 5, Format.JSON), Format.JSON, max_message_bytes=size)
    assert len(found) == 5
    assert all(isinstance(each, Decoded) for each in found)


def test_a_frame_is_at_most_twice_a_message() -> None:
    assert frame_limit(65_536) == 131_072


# ------------------------------------------------------------------------------------------- which way is taken


@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", ["ENCRYPTED", "ACK", "HEARTBEAT"])
def test_a_common_message_is_read_without_splitting_and_never_slowly(
    kind: str, fmt: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = encode(one(written(envelope(kind), fmt), fmt).envelope, fmt)
    other = next(each for each in Format if each is not fmt)
    batch = join_batch([frame, frame], fmt)

    def refused(*_: Any) -> None:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(codec, "_decode_slowly", refused)
    assert len(decode(batch, fmt)) == len(decode_routing(batch, fmt)) == 2
    assert json_form(codec.read_again(frame, fmt)) == envelope(kind)
    assert transcode(frame, fmt, other)
    monkeypatch.setattr(codec, "_each", refused)
    (whole,) = decode(frame, fmt)
    (routed,) = decode_routing(frame, fmt)
    assert isinstance(whole, Decoded)
    assert isinstance(routed, Routed)
    assert whole.raw is routed.raw is frame


@pytest.mark.parametrize("fmt", BOTH)
def test_what_was_routed_the_long_way_is_read_again(fmt: Format) -> None:
    frame = written(envelope("PRESENCE"), fmt)
    assert json_form(codec.read_again(frame, fmt)) == envelope("PRESENCE")
    with pytest.raises(WireError):
        codec.read_again(b"{", fmt)


def test_the_default_limit_is_the_documents() -> None:
    assert codec.DEFAULT_MAX_MESSAGE_BYTES == 65_536


@pytest.mark.parametrize("time", [0, 1, 2**53 - 1])
@pytest.mark.parametrize("fmt", BOTH)
@pytest.mark.parametrize("kind", ["HEARTBEAT", "DISCONNECT"])
def test_the_first_and_the_last_time_are_read(kind: str, fmt: Format, time: int) -> None:
    assert one(written(envelope(kind, timestamp=time), fmt), fmt).envelope.timestamp == time


@pytest.mark.parametrize("space", [b" ", b"\t", b"\r", b"\n"])
def test_any_white_space_may_stand_before_a_batch(space: bytes) -> None:
    frame = space + written([envelope("ACK")] * 2, Format.JSON)
    assert all(isinstance(found, Decoded) for found in decode(frame, Format.JSON))
    assert len(decode(frame, Format.JSON)) == 2


def test_what_is_no_white_space_may_not() -> None:
    (found,) = decode(b"\x0b" + written([envelope("ACK")] * 2, Format.JSON), Format.JSON)
    assert isinstance(found, WireError)


@pytest.mark.parametrize(
    ("count", "head"), [(2, b"\x92"), (15, b"\x9f"), (16, b"\xdc\x00\x10"), (64, b"\xdc\x00\x40")]
)
def test_a_batch_in_msgpack_begins_with_the_shortest_head(count: int, head: bytes) -> None:
    assert join_batch([b"\xc0"] * count, Format.MSGPACK) == head + b"\xc0" * count


def test_the_widest_small_map_is_an_envelope_and_no_batch() -> None:
    extra = {f"x{at}": at for at in range(7)}
    frame = written(envelope("ACK", **extra), Format.MSGPACK)
    assert frame[0] == 0x8F
    assert one(frame, Format.MSGPACK).dropped == tuple(extra)


@pytest.mark.parametrize("frame", [b"\xa0", b"\xc0", b"\x00", b"\xdb\x00\x00\x00\x00"])
def test_a_value_that_is_neither_object_nor_batch_is_said_to_be_no_object(frame: bytes) -> None:
    (found,) = decode(frame, Format.MSGPACK)
    assert str(found) == "envelope: is not an object"


@pytest.mark.parametrize("fmt", BOTH)
def test_a_message_id_that_is_not_utf_8_is_refused_and_not_told(fmt: Format) -> None:
    frame = written(envelope("PRESENCE", messageId="@@"), fmt).replace(b"@@", b"\xff\xfe")
    (found,) = decode(frame, fmt)
    assert isinstance(found, WireError)
    assert found.reason == "is not UTF-8"
    assert found.message_id is None


@pytest.mark.parametrize("fmt", BOTH)
def test_a_message_nested_beyond_any_reader_is_refused_alone(fmt: Format) -> None:
    deep = b"[" * 5000 + b"]" * 5000 if fmt is Format.JSON else b"\x91" * 5000 + b"\xc0"
    mark = b'"@@"' if fmt is Format.JSON else b"\xa2@@"
    frame = written(envelope("PRESENCE", x="@@"), fmt).replace(mark, deep)
    (found,) = decode(frame, fmt)
    assert isinstance(found, WireError)
    assert found.reason == "is nested over 16 deep"
