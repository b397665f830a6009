"""What others wrote, made safe to show: control, bidi and invisible characters, lengths, links."""

from __future__ import annotations

import pytest

from agentnet_desktop.agent.display import agent_id_problem, invite_facts, link_facts, visible
from agentnet_desktop.agent.errors import BadInput
from agentnet_desktop.protocol.contact_link import ContactLink, InviteLink


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain words, ünïcode, 日本語", "plain words, ünïcode, 日本語"),
        ("a\x1b[31mred", "a␛[31mred"),
        ("\x00\x7f\x85", "␀␡⟨U+0085⟩"),
        ("pay\u202egnp.exe", "pay⟨U+202E⟩gnp.exe"),
        ("\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"),
        ("a\u200bb\ufeffc\u00add", "a⟨U+200B⟩b⟨U+FEFF⟩c⟨U+00AD⟩d"),
        ("line\nbreak\u2028", "line␊break⟨U+2028⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("nb\u00a0sp\u3000", "nb sp "),
        ("\u3164", "⟨U+3164⟩"),
    ],
)
def test_hidden_characters_are_made_visible(given: str, shown: str) -> None:
    assert visible(given, 100) == shown


def test_joiners_stay_only_where_they_join() -> None:
    assert visible("👩\u200d💻", 10) == "👩\u200d💻"
    assert visible("می\u200cخواهم", 20) == "می\u200cخواهم"
    assert visible("ad\u200dmin", 20) == "ad⟨U+200D⟩min"


def test_stacked_marks_are_cut() -> None:
    assert len(visible("e" + "\u0301" * 50, 100)) == 5


def test_a_long_text_is_cut_to_the_limit() -> None:
    assert visible("x" * 50, 10) == "x" * 9 + "…"
    assert visible("x" * 10, 10) == "x" * 10
    assert visible("abc\u202edef", 8) == "abc…"  # a mark is never cut in half


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert visible("a\r\nb\n\n\n\n\nc", 50, multiline=True) == "a\nb\n\nc"
    assert visible("a\rb", 50, multiline=True) == "a␍b"


def test_a_contact_link_tells_whose_it_is() -> None:
    link = ContactLink("bob", "wss://relay.example:443", bytes([9]) * 32, bytes(32), 5_000)
    facts = link_facts(f"  {link.format()} ")
    assert (facts.agent_id, facts.relay, facts.expires_at) == ("bob", "wss://relay.example:443", 5_000)
    assert facts.fingerprint
    with pytest.raises(BadInput, match="not a contact link"):
        link_facts("https://example.org")


def test_an_invite_link_tells_its_relay() -> None:
    link = InviteLink("wss://relay.example:443", "A" * 22, "Home", None)
    facts = invite_facts(link.format())
    assert (facts.relay, facts.name, facts.pinned) == ("wss://relay.example:443", "Home", False)
    with pytest.raises(BadInput):
        invite_facts("agentnet://contact/bob")


@pytest.mark.parametrize("given", ["a", "x" * 65, "system", "SYSTEM", "-bob", "bob smith", "bøb"])
def test_a_bad_agent_id_is_explained(given: str) -> None:
    assert agent_id_problem(given).endswith((".", "another."))


def test_a_good_agent_id_has_no_problem() -> None:
    assert agent_id_problem("alice.home-2") == ""
