"""Whatever stands in an envelope, signed or not: nothing but the declared errors comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import check_initiation, check_response
from agentnet_desktop.crypto.session import open_sealed, verify_sealed
from agentnet_desktop.protocol.canonical import NotCanonical, jcs
from relay.wire.codec import Format, decode, encode, json_form
from relay.wire.envelope import Envelope, b64encode
from relay.wire.errors import WireError
from tests.crypto.people import ALICE, BOB, identity, pair, sealed

PAIR = pair()
MESSAGE = sealed(PAIR).envelope

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(max_size=50)
    | st.sampled_from([ALICE, BOB, "system", "", "HANDSHAKE", "QUERY", "sess_1"])
    | st.binary(max_size=70).map(b64encode)
    | st.sampled_from([bytes(32), b"\x01" + bytes(31), b"\xff" * 32]).map(b64encode)
)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=9), v, max_size=3),
    max_leaves=6,
)


def paths(form: dict[str, Any]) -> list[tuple[str, ...]]:
    places: list[tuple[str, ...]] = [(name,) for name in form]
    places += [(name, key) for name in ("content", "metadata") for key in form[name]]
    return [*places, ("content", "peerHash"), ("content", "contactProof"), ("metadata", "x")]


def changed(form: dict[str, Any], edits: list[tuple[int, Any]]) -> dict[str, Any]:
    """Replace what stands at some places; a place inside what was replaced is passed over."""
    form = json.loads(json.dumps(form))
    places = paths(form)
    for number, value in edits:
        *outer, last = places[number % len(places)]
        target: Any = form
        for name in outer:
            target = target.get(name)
        if isinstance(target, dict):
            target[last] = value
    return form


def handled(form: dict[str, Any], check: Callable[[Envelope], object]) -> None:
    """As an agent would: from the bytes of a frame to the check, passing over declared errors alone."""
    try:
        frame = json.dumps(form).encode("utf-8", "surrogatepass")
        found = decode(frame, Format.JSON)
    except WireError:
        return
    for each in found:
        if not isinstance(each, WireError):
            try:
                check(each.envelope)
            except (WireError, CryptoError):
                continue


edits = st.lists(st.tuples(st.integers(0, 40), values), min_size=1, max_size=3)


@settings(max_examples=200)
@given(edits)
def test_any_change_of_a_handshake_raises_only_declared_errors(what: list[tuple[int, Any]]) -> None:
    asked, answered = json_form(PAIR.initiation), json_form(PAIR.response)
    handled(changed(asked, what), lambda e: check_initiation(e, own_id=BOB))
    handled(changed(answered, what), lambda e: check_response(e, initiation=PAIR.initiation, own_id=ALICE))


@settings(max_examples=200)
@given(edits)
def test_any_change_of_a_handshake_signed_again_raises_only_declared_errors(
    what: list[tuple[int, Any]],
) -> None:
    for envelope, signer, check in (
        (PAIR.initiation, ALICE, lambda e: check_initiation(e, own_id=BOB)),
        (PAIR.response, BOB, lambda e: check_response(e, initiation=PAIR.initiation, own_id=ALICE)),
    ):
        form = changed(json_form(envelope), what)
        if isinstance(form["content"], dict):
            form["content"].pop("signature", None)
            try:
                signed = b"agentnet/v1/handshake\0" + jcs(form)
            except NotCanonical:
                continue
            form["content"]["signature"] = b64encode(identity(signer).sign(signed))
        handled(form, check)


def opened(envelope: Envelope) -> object:
    return open_sealed(
        verify_sealed(envelope, identity_key=identity(ALICE).public, own_id=BOB), PAIR.keys[BOB]
    )


@settings(max_examples=200)
@given(edits)
def test_any_change_of_a_sealed_message_raises_only_declared_errors(what: list[tuple[int, Any]]) -> None:
    handled(changed(json_form(MESSAGE), what), opened)


@settings(max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 2000), st.sampled_from(list(Format)))
def test_any_bytes_within_a_frame_raise_only_declared_errors(noise: bytes, at: int, fmt: Format) -> None:
    for envelope, check in (
        (MESSAGE, opened),
        (PAIR.initiation, lambda e: check_initiation(e, own_id=BOB)),
    ):
        frame = encode(envelope, fmt)
        at %= len(frame)
        try:
            found = decode(frame[:at] + noise + frame[at + len(noise) :], fmt)
        except WireError:
            continue
        for each in found:
            if not isinstance(each, WireError):
                try:
                    check(each.envelope)
                except (WireError, CryptoError):
                    continue
