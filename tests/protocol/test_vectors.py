"""`canonical_json.json` and `contact_links.json`: docs/protocol.md sections 2.3, 2.4, 10.4 and 11.4 in cases."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.protocol.canonical import jcs
from agentnet_desktop.protocol.contact_link import (
    BadLink,
    ContactLink,
    InviteLink,
    parse_contact_link,
    parse_invite_link,
)
from relay.wire.errors import WireError
from relay.wire.strict import parse_json

FOLDER = Path(__file__).parents[2] / "resources" / "vectors"


def cases(name: str, sort: str) -> list[Any]:
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))[sort]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.mark.parametrize("case", cases("canonical_json.json", "good"))
def test_every_good_text_has_its_canonical_form(case: dict[str, Any]) -> None:
    canonical = jcs(parse_json(case["json"]))
    assert canonical.decode() == case["canonical"]
    assert hashlib.sha256(canonical).hexdigest() == case["sha256"]
    assert jcs(parse_json(canonical)) == canonical


@pytest.mark.parametrize("case", cases("canonical_json.json", "bad"))
def test_every_bad_text_raises_the_error_that_it_names(case: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        parse_json(bytes.fromhex(case["hex"]) if "hex" in case else case["json"])
    assert (caught.value.code, caught.value.field) == (case["error"], case["field"])


def link_of(case: dict[str, Any]) -> ContactLink | InviteLink:
    fields = case["fields"]
    if case["kind"] == "join":
        cert = fields["cert"]
        return InviteLink(
            fields["relay"], fields["invite"], fields["name"], None if cert is None else bytes.fromhex(cert)
        )
    key, token = bytes.fromhex(fields["key"]), bytes.fromhex(fields["token"])
    return ContactLink(fields["agentId"], fields["relay"], key, token, fields["expires"])


READERS = {"contact": parse_contact_link, "join": parse_invite_link}


@pytest.mark.parametrize("case", cases("contact_links.json", "good"))
def test_every_good_link_is_read_and_written(case: dict[str, Any]) -> None:
    link = READERS[case["kind"]](case["link"])
    assert link == link_of(case)
    assert (link.format() == case["link"]) is case["written"]


@pytest.mark.parametrize("case", cases("contact_links.json", "bad"))
def test_every_bad_link_is_refused(case: dict[str, Any]) -> None:
    assert case["error"] == "BAD_LINK"
    with pytest.raises(BadLink):
        READERS[case["kind"]](case["link"])
