"""`resources/vectors/msgpack.json`: docs/protocol.md section 2 in bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.wire.codec import Decoded, Format, decode, decode_routing, encode_batch, json_form
from relay.wire.errors import WireError

VECTORS = json.loads(
    (Path(__file__).parents[3] / "resources" / "vectors" / "msgpack.json").read_text(encoding="utf-8")
)


def cases(sort: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in VECTORS[sort]]


@pytest.mark.parametrize("case", cases("good"))
def test_every_good_case_says_the_same_in_both_formats(case: dict[str, Any]) -> None:
    found = decode(bytes.fromhex(case["msgpack"]), Format.MSGPACK)
    envelopes = [one.envelope for one in found if isinstance(one, Decoded)]
    forms = [json_form(envelope) for envelope in envelopes]
    assert forms == (case["json"] if isinstance(case["json"], list) else [case["json"]])
    again = decode(json.dumps(case["json"]), Format.JSON)
    assert [one.envelope for one in again if isinstance(one, Decoded)] == envelopes
    if case["written"]:
        assert encode_batch(envelopes, Format.MSGPACK).hex() == case["msgpack"]


@pytest.mark.parametrize("case", cases("bad"))
def test_every_bad_case_raises_the_error_that_it_names(case: dict[str, Any]) -> None:
    for read in (decode, decode_routing):
        (error,) = read(bytes.fromhex(case["msgpack"]), Format.MSGPACK)
        assert isinstance(error, WireError)
        assert (error.code, error.field) == (case["error"], case["field"])
