"""docs/protocol.md sections 10.4 (contact links) and 11.4 (join links)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.protocol.contact_link import (
    BadLink,
    ContactLink,
    InviteLink,
    b64url,
    parse_contact_link,
    parse_invite_link,
)

KEY = bytes(range(32))
TOKEN = bytes(range(32, 64))
CONTACT = (
    "agentnet://contact/agent_alice?relay=wss%3A%2F%2Frelay.example%3A443"
    f"#key={b64url(KEY)}&token={b64url(TOKEN)}&expires=1700000000000"
)
CODE = "AAECAwQFBgcICQoLDA0ODw"
JOIN = f"agentnet://join?relay=ws%3A%2F%2F127.0.0.1%3A8765&name=My%20relay#invite={CODE}"


def test_a_contact_link_is_written_as_the_document_says() -> None:
    link = ContactLink("agent_alice", "wss://relay.example:443", KEY, TOKEN, 1_700_000_000_000)
    assert link.format() == CONTACT
    assert parse_contact_link(CONTACT) == link


def test_a_join_link_is_written_as_the_document_says() -> None:
    link = InviteLink("ws://127.0.0.1:8765", CODE, "My relay")
    assert link.format() == JOIN
    assert parse_invite_link(JOIN) == link
    pinned = InviteLink("wss://relay.example:443", CODE, "", KEY)
    assert pinned.format().endswith(f"#invite={CODE}&cert={KEY.hex()}")
    assert parse_invite_link(pinned.format()) == pinned


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}", fullmatch=True).filter(
        lambda it: it.lower() != "system"
    ),
    st.sampled_from(["wss://relay.example:443", "ws://127.0.0.1:8765", "wss://[::1]:9/base"]),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**53 - 1),
)
def test_every_contact_link_is_read_as_it_was_written(
    agent_id: str, relay: str, key: bytes, token: bytes, expires: int
) -> None:
    link = ContactLink(agent_id, relay, key, token, expires)
    assert parse_contact_link(link.format()) == link


@given(st.text(max_size=40), st.none() | st.binary(min_size=32, max_size=32))
def test_every_join_link_is_read_as_it_was_written(name: str, cert: bytes | None) -> None:
    link = InviteLink("wss://relay.example", CODE, name, cert)
    assert parse_invite_link(link.format()) == link


def test_a_link_does_not_show_its_secret_when_it_is_printed() -> None:
    contact = parse_contact_link(CONTACT)
    assert not re.search(r"token|GBka|\\x20!", repr(contact) + str(contact))
    join = parse_invite_link(JOIN)
    assert CODE not in repr(join) + str(join)


def test_values_may_come_in_any_order_and_percent_encoded() -> None:
    token, key = b64url(TOKEN), b64url(KEY)
    turned = f"agentnet://contact/agent%5Falice?relay=wss%3a%2F/relay.example:443#expires=1700000000000&token={token}&key={key}"
    assert parse_contact_link(turned) == parse_contact_link(CONTACT)
    assert parse_invite_link(f"agentnet://join?relay=wss://r.example#invite={CODE}").name == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("agentnet://contact/", "http://contact/"), "not a contact link"),
        (("agentnet://contact/", "AGENTNET://contact/"), "not a contact link"),
        (("agentnet://contact/", " agentnet://contact/"), "not a contact link"),
        (("agentnet://contact/", "agentnet://join/"), "not a contact link"),
        (("agent_alice", ""), "does not name an agent"),
        (("agent_alice", "system"), "does not name an agent"),
        (("agent_alice", "a%2Fb"), "does not name an agent"),
        (("agent_alice", "%ff"), "agent id in the link is damaged"),
        (("agent_alice", "%f"), "agent id in the link is damaged"),
        (("?", ""), "part after \\? is missing"),
        (("#", "&"), "part after # is missing"),
        (("&token", "#token"), "part after # is missing or doubled"),
        (("wss%3A", "http%3A"), "relay's address"),
        (("wss%3A", "s%3A"), "relay's address"),
        (("wss%3A%2F%2Frelay.example", "wss%3A%2F%2F"), "relay's address"),
        (("%3A443", "%3A65536"), "relay's address"),
        (("%3A443", "%3A0"), "relay's address"),
        (("%3A443", "%3A443%2F%3Fq%3D1"), "relay's address"),
        (("%3A443", "%3A443%23f"), "relay's address"),
        (("%3A443", "%0A"), "relay's address"),
        (("relay.example", "me%40relay.example"), "relay's address"),
        (("relay=wss%3A%2F%2F", "relay=wss%3A%2F%2F%5B"), "relay's address"),
        (("relay=", "relay=ü"), "relay in the link is damaged"),
        (("relay=", "host="), "a part that is not known"),
        (("#key", "&extra=1#key"), "a part that is not known"),
        (("&expires=1700000000000", ""), "'expires' is missing"),
        (("&expires=1700000000000", "&expires"), "a part that is not known"),
        (("&expires=1700000000000", "&expires=1&expires=2"), "holds 'expires' twice"),
        (("expires=1700000000000", "expires="), "expiry"),
        (("expires=1700000000000", "expires=-1"), "expiry"),
        (("expires=1700000000000", "expires=01"), "expiry"),
        (("expires=1700000000000", "expires=9007199254740992"), "expiry"),
        (("key=AAEC", "key=AAE"), "key in the link is damaged"),
        (("key=AAEC", "key="), "key in the link is damaged"),
        (("key=AAEC", "key=AAECAAEC"), "key in the link is damaged"),
        (("key=AAEC", "key=A+EC"), "key in the link is damaged"),
        (("Hh8&", "Hh9&"), "key in the link is damaged"),
        (("Hh8&", "Hh8%3D&"), "key in the link is damaged"),
        (("token=", "token=ab"), "token in the link is damaged"),
        (("agent_alice", "a" * 3000), "too long"),
    ],
)
def test_what_is_not_exactly_a_contact_link_is_refused_in_words(change: tuple[str, str], said: str) -> None:
    spoilt = CONTACT.replace(*change, 1)
    assert spoilt != CONTACT
    with pytest.raises(BadLink, match=said):
        parse_contact_link(spoilt)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("agentnet://join", "agentnet://contact"), "not a join link"),
        (("join?", "join/x?"), "not a join link"),
        (("join?", "joiner?"), "not a join link"),
        (("&name", "&alias"), "a part that is not known"),
        (("relay=ws", "name=ws"), "holds 'name' twice"),
        ((f"invite={CODE}", "invite=short"), "invite code in the link is damaged"),
        ((f"invite={CODE}", f"invite={CODE}%20"), "invite code in the link is damaged"),
        ((f"invite={CODE}", ""), "a part that is not known"),
        (("#invite", f"#cert={'0' * 63}&invite"), "certificate"),
        (("#invite", f"#cert={'A' * 64}&invite"), "certificate"),
        (("ws%3A", "ftp%3A"), "relay's address"),
    ],
)
def test_what_is_not_exactly_a_join_link_is_refused_in_words(change: tuple[str, str], said: str) -> None:
    spoilt = JOIN.replace(*change, 1)
    assert spoilt != JOIN
    with pytest.raises(BadLink, match=said):
        parse_invite_link(spoilt)


def test_the_longest_link_and_the_latest_expiry_are_read() -> None:
    link = InviteLink("wss://relay.example:65535", CODE, "")
    longest = InviteLink(link.relay, CODE, "n" * (2048 - len(link.format())))
    assert len(longest.format()) == 2048
    assert parse_invite_link(longest.format()) == longest
    with pytest.raises(BadLink, match="too long"):
        parse_invite_link(longest.format() + "x")
    latest = CONTACT.replace("1700000000000", "9007199254740991")
    assert parse_contact_link(latest).expires == 2**53 - 1


def test_a_refusal_does_not_repeat_the_secret() -> None:
    with pytest.raises(BadLink) as caught:
        parse_contact_link(CONTACT.replace("token=", "token=x"))
    assert "GBka" not in str(caught.value)


@given(st.text() | st.text().map(lambda end: CONTACT + end) | st.text().map(lambda end: JOIN + end))
def test_whatever_the_text_only_the_declared_error_is_raised(text: str) -> None:
    for parse in (parse_contact_link, parse_invite_link):
        try:
            parse(text)
        except BadLink as error:
            said = str(error)
            assert said.startswith(("The ", "This "))


@pytest.mark.parametrize("code", ["c" * 22, "c" * 256])
def test_a_code_of_22_to_256_characters_is_read(code: str) -> None:
    assert parse_invite_link(JOIN.replace(CODE, code)).invite == code


@pytest.mark.parametrize("code", ["c" * 21, "c" * 257])
def test_a_code_of_other_length_is_damaged(code: str) -> None:
    with pytest.raises(BadLink, match="invite code in the link is damaged"):
        parse_invite_link(JOIN.replace(CODE, code))


def test_the_lowest_port_is_read() -> None:
    assert parse_contact_link(CONTACT.replace("%3A443", "%3A1")).relay == "wss://relay.example:1"


def test_an_expiry_of_many_digits_is_damaged() -> None:
    with pytest.raises(BadLink, match="expiry"):
        parse_contact_link(CONTACT.replace("1700000000000", "1" * 1800))
