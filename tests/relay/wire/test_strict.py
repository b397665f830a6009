"""docs/protocol.md section 2.3: what is refused in values, in both formats, and by which name."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.wire.errors import WireError
from relay.wire.strict import (
    MsgpackReader,
    check_value,
    parse_json,
    parse_msgpack,
    peek_json,
    refuse_bytes,
    split_json_array,
)

LARGEST = 2**53 - 1
NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-1e15, 1e15)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def complaint(text: bytes | str) -> str:
    """Why a JSON text is refused."""
    with pytest.raises(WireError) as caught:
        parse_json(text)
    return str(caught.value)


def msgpack_complaint(data: bytes, path: str = "") -> str:
    """Why msgpack bytes are refused."""
    with pytest.raises(WireError) as caught:
        parse_msgpack(data, path=path)
    return str(caught.value)


def nested(depth: int) -> Any:
    """An object in which that many objects and arrays are open at once."""
    value: Any = 0
    for level in range(depth - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


# ------------------------------------------------------------------------------------------- both


@given(VALUES)
def test_a_good_value_is_read_as_it_was_written_in_either_format(value: Any) -> None:
    assert parse_json(msgspec.json.encode(value)) == value
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, indent=1, ensure_ascii=False).encode()) == value
    assert parse_msgpack(msgspec.msgpack.encode(value)) == value


def test_sixteen_levels_are_read_and_seventeen_refused() -> None:
    assert parse_json(json.dumps(nested(16))) == nested(16)
    assert parse_msgpack(msgspec.msgpack.encode(nested(16))) == nested(16)
    assert complaint(msgspec.json.encode(nested(17))).endswith(": is nested over 16 deep")
    assert msgpack_complaint(msgspec.msgpack.encode(nested(17))).endswith(": is nested over 16 deep")


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_nesting_beyond_any_reader_is_refused_the_same(depth: int) -> None:
    assert complaint("[" * depth + "]" * depth).endswith("is nested over 16 deep")
    assert complaint('{"a":' * depth + "1" + "}" * depth).endswith("is nested over 16 deep")
    assert msgpack_complaint(b"\x91" * depth + b"\xc0").endswith("is nested over 16 deep")
    assert msgpack_complaint(b"\x81\xa1a" * depth + b"\xc0").endswith("is nested over 16 deep")


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, 0.5, -1e15, 0])
def test_a_number_that_every_language_carries_is_read(number: float) -> None:
    assert parse_json(json.dumps({"a": number})) == {"a": number}
    assert parse_msgpack(msgspec.msgpack.encode({"a": number})) == {"a": number}


@pytest.mark.parametrize("number", [LARGEST + 1, -LARGEST - 1, 2**63, 1e16, -1e300])
def test_an_integral_number_beyond_that_is_refused(number: float) -> None:
    assert complaint(json.dumps({"a": [number]})) == "a[0]: is an integral number beyond 2**53 - 1"
    packed = msgspec.msgpack.encode({"a": [number]})
    assert msgpack_complaint(packed) == "a[0]: is an integral number beyond 2**53 - 1"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(number: float) -> None:
    assert complaint(json.dumps({"a": {"b": number}})) == "a.b: is not a finite number"
    packed = msgspec.msgpack.encode({"a": {"b": number}})
    assert msgpack_complaint(packed) == "a.b: is not a finite number"


def test_a_value_on_its_own_is_called_frame_or_as_the_caller_says() -> None:
    assert complaint(b"NaN") == "frame: is not a finite number"
    assert msgpack_complaint(b"\xca\0\0\0\0") == "frame: is a float32"
    assert msgpack_complaint(b"\xca\0\0\0\0", "data") == "data: is a float32"
    with pytest.raises(WireError, match=r"^data\.a: is not a finite number$"):
        parse_json(b'{"a":NaN}', path="data")


# ------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":1,"a":2}', "a: stands twice"),
        (b'{"a":1,"\\u0061":2}', "a: stands twice"),
        (b'{"a":{"b":[{"c":1,"d":2,"c":1}]}}', "a.b[0].c: stands twice"),
        (b'[{"c":1,"c":1}]', "[0].c: stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_named(text: bytes, expected: str) -> None:
    assert complaint(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":"\\ud800"}', "a: holds a lone surrogate"),
        (b'{"a":["\\udc00x"]}', "a[0]: holds a lone surrogate"),
        (b'"\\ud83d"', "frame: holds a lone surrogate"),
        (b'{"\\ud800":1}', "frame: holds a lone surrogate"),
        (b'{"a":{"\\ud800":1}}', "a: holds a lone surrogate"),
        ('{"a":"\ud800"}', "a: holds a lone surrogate"),
    ],
)
def test_a_lone_surrogate_is_refused(text: bytes | str, expected: str) -> None:
    assert complaint(text) == expected


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("text", [b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\x80"}', b"\xff\xfe"])
def test_bytes_that_are_not_utf_8_are_refused(text: bytes) -> None:
    assert complaint(text) == "frame: is not UTF-8"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{}x",
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b"[1 2]",
        b"01",
        b"+1",
        b".5",
        b'"\x01"',
        b'"\\x41"',
        b"\xef\xbb\xbf{}",
        b"True",
    ],
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    assert complaint(text) == "frame: is not JSON"


def test_a_number_of_absurd_length_is_refused_without_computing_it() -> None:
    assert complaint(b'{"a":' + b"9" * 100_000 + b"}") == "a: is an integral number beyond 2**53 - 1"
    assert complaint(b'{"a":1e999999}') == "a: is not a finite number"
    assert parse_json(b"-0") == 0


@given(st.binary(max_size=40) | st.text('[]{}",:\\u0d8NaIe-.19 ', max_size=40).map(str.encode))
def test_whatever_the_bytes_only_the_declared_error_is_raised(data: bytes) -> None:
    for read in (parse_json, parse_msgpack):
        with contextlib.suppress(WireError):
            read(data)
    with contextlib.suppress(WireError):
        split_json_array(data, most=64)


# ------------------------------------------------------------------------------------------- splitting


@given(st.lists(VALUES, min_size=1, max_size=5), st.sampled_from(["", " ", "\r\n\t"]))
def test_an_array_is_split_into_the_bytes_of_its_elements(values: list[Any], space: str) -> None:
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    data = (space + "[" + space + f"{space},{space}".join(texts) + space + "]" + space).encode()
    assert split_json_array(data, most=64) == [text.encode() for text in texts]


def test_an_element_is_split_off_even_when_it_will_be_refused() -> None:
    assert split_json_array(b'[{"a":NaN}, "\\ud800",{"a":1,"a":2}]', most=64) == [
        b'{"a":NaN}',
        b'"\\ud800"',
        b'{"a":1,"a":2}',
    ]


@pytest.mark.parametrize(
    "data", [b"[1", b"[1,", b"[1}", b"[1]x", b"[", b"[]", b"[,1]", b'["\xff"]', b"[1 2]"]
)
def test_what_is_not_an_array_is_not_split(data: bytes) -> None:
    with pytest.raises(WireError, match=r"^frame: is not JSON$"):
        split_json_array(data, most=64)


def test_an_array_is_not_read_further_than_it_will_be_used() -> None:
    assert split_json_array(b"[1,2,3", most=2) == [b"1", b"2", b"3"]
    assert split_json_array(b"[1,2]", most=2) == [b"1", b"2"]


def test_an_array_nested_beyond_any_reader_is_not_split() -> None:
    with pytest.raises(WireError, match=r"^frame: is nested over 16 deep$"):
        split_json_array(b"[" * 100_000, most=64)


def test_a_member_is_told_even_of_an_object_that_is_refused() -> None:
    assert peek_json(b'{"messageId":"msg_1","a":NaN,"b":"\\ud800"}', "messageId") == "msg_1"
    assert peek_json(b'{"a":NaN}', "messageId") is None
    assert peek_json(b"[NaN]", "messageId") is None
    assert peek_json(b"{", "messageId") is None


# ------------------------------------------------------------------------------------------- msgpack


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\xe0", -32),
        (b"\xff", -1),
        (b"\xc0", None),
        (b"\xc2", False),
        (b"\xc3", True),
        (b"\xcc\xff", 255),
        (b"\xcd\x01\x00", 256),
        (b"\xce\x00\x01\x00\x00", 65_536),
        (b"\xcf" + LARGEST.to_bytes(8, "big"), LARGEST),
        (b"\xd0\x80", -128),
        (b"\xd1\xff\x00", -256),
        (b"\xd2\xff\xff\x00\x00", -65_536),
        (b"\xd3" + (-LARGEST).to_bytes(8, "big", signed=True), -LARGEST),
        (b"\xcb" + struct.pack(">d", 0.5), 0.5),
        (b"\xa1a", "a"),
        (b"\xd9\x01a", "a"),
        (b"\xda\x00\x01a", "a"),
        (b"\xdb\x00\x00\x00\x01a", "a"),
        (b"\xc4\x01a", b"a"),
        (b"\xc5\x00\x01a", b"a"),
        (b"\xc6\x00\x00\x00\x01a", b"a"),
        (b"\xbf" + b"a" * 31, "a" * 31),
        (b"\xa0", ""),
        (b"\x9f" + b"\x01" * 15, [1] * 15),
        (b"\x90", []),
        (
            b"\x8f" + b"".join(b"\xa1" + bytes((letter,)) + b"\x01" for letter in b"abcdefghijklmno"),
            dict.fromkeys("abcdefghijklmno", 1),
        ),
        (b"\x80", {}),
        (b"\x91\x01", [1]),
        (b"\xdc\x00\x01\x01", [1]),
        (b"\xdd\x00\x00\x00\x01\x01", [1]),
        (b"\x81\xa1a\x01", {"a": 1}),
        (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
    ],
)
def test_every_form_of_msgpack_that_json_has_too_is_read(data: bytes, expected: object) -> None:
    assert parse_msgpack(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\xd4\x05\x00",
        b"\xd5\x05\0\0",
        b"\xd6\xff\0\0\0\0",
        b"\xd8\x05",
        b"\xc7\x01\x05\0",
        b"\xc8\0",
        b"\xc9\0",
    ],
)
def test_an_ext_type_is_refused(data: bytes) -> None:
    assert msgpack_complaint(b"\x81\xa1a" + data) == "a: is a msgpack ext type"


def test_a_float32_is_refused() -> None:
    assert msgpack_complaint(b"\x81\xa1a\xca\x3f\x80\x00\x00") == "a: is a float32"


def test_a_key_that_stands_twice_is_named_in_msgpack_too() -> None:
    assert msgpack_complaint(b"\x82\xa1a\x01\xa1a\x02") == "a: stands twice"
    assert msgpack_complaint(b"\x81\xa1b\x82\xa1a\x01\xd9\x01a\x02") == "b.a: stands twice"


@pytest.mark.parametrize("key", [b"\x01", b"\xc0", b"\xc4\x01a", b"\xc3", b"\x81\xa1a\x01", b"\xdc\0\0"])
def test_a_key_that_is_not_a_string_is_refused(key: bytes) -> None:
    assert msgpack_complaint(b"\x81" + key + b"\x01") == "frame: has a key that is not a string"
    assert msgpack_complaint(b"\x81\xa1b\x81" + key + b"\x01") == "b: has a key that is not a string"


def test_a_key_of_any_length_is_read() -> None:
    assert parse_msgpack(b"\x81\xd9\x01a\x01") == {"a": 1}
    assert parse_msgpack(b"\x81\xdb\x00\x00\x00\x01a\x01") == {"a": 1}


def test_text_that_is_not_utf_8_is_refused_by_field() -> None:
    assert msgpack_complaint(b"\x81\xa1a\xa1\xff") == "a: is not UTF-8"
    assert msgpack_complaint(b"\xa3\xed\xa0\x80") == "frame: is not UTF-8"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xa2a",
        b"\xc4\x05a",
        b"\xcf\x00",
        b"\xcb\x00",
        b"\x92\x01",
        b"\x81\xa1a",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1a\x01",
        b"\xdb\xff\xff\xff\xffa",
        b"\xd9",
    ],
)
def test_what_is_cut_off_or_means_nothing_is_refused(data: bytes) -> None:
    assert msgpack_complaint(data).endswith(": is not msgpack")


def test_bytes_after_the_end_are_refused() -> None:
    assert msgpack_complaint(b"\x01\x01") == "frame: has bytes after its end"
    assert msgpack_complaint(b"\x01\x01", "x") == "x: has bytes after its end"


def test_bin_is_refused_wherever_it_stands() -> None:
    refuse_bytes({"a": ["b", 1, None]}, "")
    for value, path in (
        (b"", "frame"),
        ({"a": b""}, "a"),
        ({"a": {"b": [0, b""]}}, "a.b[1]"),
        ([b""], "[0]"),
    ):
        with pytest.raises(WireError) as caught:
            refuse_bytes(value, "")
        assert str(caught.value) == f"{path}: is bin where no bytes field is"


def test_depth_counts_from_what_is_already_open() -> None:
    check_value([], "x", depth=16)
    with pytest.raises(WireError, match=r"^x: is nested over 16 deep$"):
        check_value([], "x", depth=17)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256])
def test_a_key_at_each_edge_of_its_header_is_read(length: int) -> None:
    key = "k" * length
    assert parse_msgpack(msgspec.msgpack.encode({key: 1})) == {key: 1}


@pytest.mark.parametrize("lead", [0x9F, 0x90, 0xC0, 0xD8, 0xDC, 0x00, 0xC4])
def test_what_stands_beside_the_headers_of_text_is_no_key(lead: int) -> None:
    with pytest.raises(WireError, match=r"^frame: has a key that is not a string$"):
        parse_msgpack(bytes((0x81, lead)) + bytes(40))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("9007199254740992", b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00"),
        ("1e16", b"\xcb\x43\x41\xc3\x79\x37\xe0\x80\x00"),
    ],
)
def test_a_number_on_its_own_is_called_frame_or_as_the_caller_says(text: str, data: bytes) -> None:
    for path, name in (("", "frame"), ("content.x", "content.x")):
        with pytest.raises(WireError, match=f"^{name}: is an integral number beyond"):
            parse_json(text, path=path)
        with pytest.raises(WireError, match=f"^{name}: is an integral number beyond"):
            parse_msgpack(data, path=path)


def test_what_is_not_json_is_called_as_the_caller_says() -> None:
    for bad, reason in (
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 5000, "is nested over 16 deep"),
    ):
        with pytest.raises(WireError, match=f"^content.x: {reason}$"):
            parse_json(bad, path="content.x")


@pytest.mark.parametrize("digits", [17, 18, 19, 20, 21, 22, 308, 309, 310, 400, 4000, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("text", ["%s", '{"a":%s}', "[ %s ]"])
def test_an_integer_of_any_length_is_refused_in_the_same_words(text: str, sign: str, digits: int) -> None:
    with pytest.raises(WireError, match=r"is an integral number beyond 2\*\*53 - 1$"):
        parse_json(text % (sign + "9" * digits))


REFUSED = [
    *((bytes([lead]), "is not msgpack") for lead in (0xC1, 0xC4, 0xC5, 0xC6, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF)),
    *((bytes([lead]), "is not msgpack") for lead in (0xD0, 0xD1, 0xD2, 0xD3, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD)),
    *((bytes([lead]), "is not msgpack") for lead in (0xDE, 0xDF, 0xA1, 0x81)),
    (b"\xc4\x02a", "is not msgpack"),  # each begins well and ends too soon
    (b"\xcb\0\0\0", "is not msgpack"),
    (b"\xd9\x02a", "is not msgpack"),
    (b"\x81\xd9", "is not msgpack"),
    (b"\x81\xd9\x02a", "is not msgpack"),
    (b"\x81\xa2a", "is not msgpack"),
    (b"\xca\0\0\0\0", "is a float32"),
    (b"\xd4\0\0", "is a msgpack ext type"),
    (b"\xcb\x7f\xf0" + bytes(6), "is not a finite number"),
    (b"\xcf\0\x20" + bytes(6), "is an integral number beyond 2**53 - 1"),
    (b"\xd3\xff\xdf" + bytes(6), "is an integral number beyond 2**53 - 1"),
    (b"\xa1\xff", "is not UTF-8"),
    (b"\xd9\x01\xff", "is not UTF-8"),
    (b"\x81\xa1\xff\xc0", "is not UTF-8"),
    (b"\x81\xd9\x01\xff\xc0", "is not UTF-8"),
    (b"\x81\x01\x02", "has a key that is not a string"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_whatever_msgpack_refuses_is_called_by_its_field(data: bytes, reason: str) -> None:
    assert msgpack_complaint(data) == f"frame: {reason}"
    assert msgpack_complaint(data, "data") == f"data: {reason}"
    assert msgpack_complaint(b"\x81\xa1a" + data) == f"a: {reason}"
    assert msgpack_complaint(b"\x92\xc0\x81\xa1b" + data, "data") == f"data[1].b: {reason}"


@pytest.mark.parametrize("lead", [b"\x91", b"\xdc\0\x01", b"\x81\xa1a", b"\xde\0\x01\xa1a"])
def test_what_is_nested_too_deep_is_called_by_its_field(lead: bytes) -> None:
    nested_path = "[0]" if b"a" not in lead else ".a"
    where = nested_path * 16
    assert msgpack_complaint(lead * 17 + b"\xc0", "data") == f"data{where}: is nested over 16 deep"
    assert msgpack_complaint(lead * 17 + b"\xc0") == f"{where.removeprefix('.')}: is nested over 16 deep"
    with pytest.raises(WireError, match=r"^frame: is nested over 16 deep$"):
        MsgpackReader(lead + b"\xc0").value("", 17)
