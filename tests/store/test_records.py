"""Contacts, links, conversations, sessions, inbox, proposals, queries, figures: what is stored comes back, guarded."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agentnet_desktop.store import contacts, inbox, metrics, proposals, queries, sessions, settings
from agentnet_desktop.store.contacts import Contact, ContactLinkRecord
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.inbox import HeldMessage, InboxRow
from agentnet_desktop.store.proposals import StoredProposal
from agentnet_desktop.store.queries import OwnQuery, PeerQuery
from agentnet_desktop.store.sessions import StoredSession

K1, K2 = b"1" * 32, b"2" * 32
BOB = Contact("Bob", "APPROVED", 5, name="Robert", identity_key=K1, key_source="link")


# --- contacts and links ---


def test_a_contact_is_found_whatever_the_case_of_its_id(db: Database) -> None:
    db.write_sync(lambda s: contacts.add(s, BOB))
    assert db.read_sync(lambda s: contacts.get(s, "BOB")) == BOB
    with pytest.raises(IntegrityError):
        db.write_sync(lambda s: contacts.add(s, replace(BOB, agent_id="bOB")))


def test_a_changed_contact_is_written_whole(db: Database) -> None:
    changed = replace(BOB, state="KEY_CHANGED", candidate_key=K2, state_before_change="APPROVED", held=1)
    db.write_sync(lambda s: contacts.add(s, BOB))
    db.write_sync(lambda s: contacts.save(s, changed))
    assert db.read_sync(contacts.every) == [changed]
    assert db.read_sync(lambda s: contacts.by_key(s, K1)) == [changed]
    with pytest.raises(LookupError):
        db.write_sync(lambda s: contacts.save(s, replace(BOB, agent_id="nobody")))


def test_a_removed_contact_takes_its_refused_keys_along(db: Database) -> None:
    db.write_sync(lambda s: contacts.add(s, BOB))
    for _ in range(2):
        db.write_sync(lambda s: contacts.refuse_key(s, "bob", K2, 5))
    assert db.read_sync(lambda s: contacts.is_refused(s, "BOB", K2))
    assert not db.read_sync(lambda s: contacts.is_refused(s, "bob", K1))
    assert db.write_sync(lambda s: contacts.remove(s, "bob"))
    assert not db.write_sync(lambda s: contacts.remove(s, "bob"))
    assert not db.read_sync(lambda s: contacts.is_refused(s, "bob", K2))


def test_an_accepted_key_is_refused_no_more(db: Database) -> None:
    db.write_sync(lambda s: contacts.refuse_key(s, "bob", K2, 5))
    db.write_sync(lambda s: contacts.forget_refusal(s, "bob", K2))
    assert not db.read_sync(lambda s: contacts.is_refused(s, "bob", K2))


def test_a_link_binds_to_the_first_key_that_uses_it(db: Database) -> None:
    token = b"t" * 32
    db.write_sync(lambda s: contacts.add_link(s, ContactLinkRecord(token, "agentnet://contact/x", 1, 100)))
    assert len(db.read_sync(lambda s: contacts.usable_links(s, K1, 50))) == 1
    assert db.write_sync(lambda s: contacts.bind_link(s, token, K1, "bob", 50))
    assert db.write_sync(lambda s: contacts.bind_link(s, token, K1, "bob", 51)), "the same key may repeat it"
    assert not db.write_sync(lambda s: contacts.bind_link(s, token, K2, "eve", 52))
    assert len(db.read_sync(lambda s: contacts.usable_links(s, K1, 50))) == 1
    assert db.read_sync(lambda s: contacts.usable_links(s, K2, 50)) == []
    link = db.read_sync(lambda s: contacts.get_link(s, token))
    assert link is not None
    assert (link.used_by, link.used_at, link.bound_key) == ("bob", 50, K1)


def test_an_expired_or_withdrawn_link_is_not_usable(db: Database) -> None:
    tokens = (b"a" * 32, b"b" * 32)
    for token in tokens:
        db.write_sync(partial(contacts.add_link, link=ContactLinkRecord(token, "", 1, 100)))
    assert db.read_sync(lambda s: contacts.usable_links(s, K1, 100)) == []
    assert db.write_sync(lambda s: contacts.withdraw_link(s, tokens[0], 9))
    assert not db.write_sync(lambda s: contacts.withdraw_link(s, tokens[0], 10))
    assert [link.token for link in db.read_sync(lambda s: contacts.usable_links(s, K1, 50))] == [tokens[1]]
    assert not db.write_sync(lambda s: contacts.bind_link(s, tokens[0], K1, "bob", 50))
    assert len(db.read_sync(contacts.links)) == 2


# --- conversations and sessions ---


def stored(session_id: str = "sess_1", **changes: object) -> StoredSession:
    """A session with Bob."""
    record = StoredSession("bob", K1, "conv_1", session_id, "INITIATOR", "PENDING", "msg_h", 5)
    return replace(record, **changes)  # type: ignore[arg-type]


def test_a_session_comes_back_whole(db: Database) -> None:
    record = stored(keys=b"k" * 80, ephemeral=b"e" * 32, initiation=b"{}", response=b"[]", window=b"w")
    row_id = db.write_sync(lambda s: sessions.add(s, record))
    record = replace(record, row_id=row_id)
    assert db.read_sync(lambda s: sessions.get(s, row_id)) == record
    assert db.read_sync(lambda s: sessions.by_session_id(s, "BOB", "sess_1")) == [record]
    assert db.read_sync(lambda s: sessions.by_message_id(s, "bob", "msg_h")) == record
    changed = replace(record, state="ACTIVE", ephemeral=None, confirmed_at=9)
    db.write_sync(lambda s: sessions.save(s, changed))
    assert db.read_sync(lambda s: sessions.in_states(s, ("ACTIVE",))) == [changed]


def test_a_strangers_use_of_a_session_id_is_not_found(db: Database) -> None:
    db.write_sync(lambda s: sessions.add(s, stored()))
    assert db.read_sync(lambda s: sessions.by_session_id(s, "eve", "sess_1")) == []
    assert db.read_sync(lambda s: sessions.by_message_id(s, "eve", "msg_h")) is None
    assert db.read_sync(lambda s: sessions.in_conversation(s, "eve", "conv_1")) == []


def test_sequence_numbers_are_given_once_each(db: Database) -> None:
    row_id = db.write_sync(lambda s: sessions.add(s, stored()))
    taken = [db.write_sync(lambda s: sessions.take_seq(s, row_id)) for _ in range(3)]
    assert taken == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        db.write_sync(lambda s: sessions.take_seq(s, row_id) / 0)
    assert db.write_sync(lambda s: sessions.take_seq(s, row_id)) == 4, "a failed job gives its number back"
    db.write_sync(lambda s: sessions.save_window(s, row_id, b"window", 2))
    found = db.read_sync(lambda s: sessions.get(s, row_id))
    assert found is not None
    assert (found.window, found.message_count, found.next_seq) == (b"window", 6, 5)
    with pytest.raises(LookupError):
        db.write_sync(lambda s: sessions.take_seq(s, 999))


def test_the_newest_session_comes_first(db: Database) -> None:
    for name, state in (("a", "RETIRED"), ("b", "ACTIVE"), ("c", "PENDING")):
        db.write_sync(partial(sessions.add, record=stored(name, state=state)))
    found = db.read_sync(lambda s: sessions.in_conversation(s, "bob", "conv_1", ("ACTIVE", "RETIRED")))
    assert [record.session_id for record in found] == ["b", "a"]
    assert len(db.read_sync(lambda s: sessions.of_peer(s, "bob"))) == 3


def test_wiping_leaves_no_key_in_the_row(db: Database) -> None:
    keys = {"keys": b"k" * 80, "ephemeral": b"e" * 32}
    for name, wipe_at in (("a", 100), ("b", 200), ("c", None)):
        db.write_sync(partial(sessions.add, record=stored(name, wipe_at=wipe_at, **keys)))
    assert db.read_sync(sessions.next_deadline) == 100
    assert db.write_sync(lambda s: sessions.wipe_due(s, 100, "CLOSED")) == [1]
    assert db.write_sync(lambda s: sessions.wipe_peer(s, "bob", "CLOSED", K2)) == 0
    assert db.write_sync(lambda s: sessions.wipe_peer(s, "bob", "CLOSED", K1)) == 2
    for record in db.read_sync(lambda s: sessions.of_peer(s, "bob")):
        assert (record.keys, record.ephemeral, record.wipe_at, record.state) == (None, None, None, "CLOSED")
    assert db.read_sync(sessions.next_deadline) is None


def test_a_due_handshake_is_found(db: Database) -> None:
    db.write_sync(lambda s: sessions.add(s, stored("a", next_attempt_at=50)))
    db.write_sync(lambda s: sessions.add(s, stored("b", next_attempt_at=40)))
    assert [record.session_id for record in db.read_sync(lambda s: sessions.due(s, 50))] == ["b", "a"]
    assert db.read_sync(lambda s: sessions.due(s, 39)) == []
    assert db.read_sync(sessions.next_deadline) == 40
    db.write_sync(lambda s: sessions.remove(s, 2))
    assert db.read_sync(sessions.next_deadline) == 50


def test_a_conversation_is_noted_once_and_kept_current(db: Database) -> None:
    db.write_sync(lambda s: sessions.open_conversation(s, "bob", "conv_1", 5, "Lunch"))
    db.write_sync(lambda s: sessions.open_conversation(s, "bob", "conv_1", 9))
    found = db.read_sync(lambda s: sessions.conversation(s, "BOB", "conv_1"))
    assert found is not None
    assert (found.created_at, found.last_at, found.subject) == (5, 9, "Lunch")
    db.write_sync(lambda s: sessions.save_conversation(s, replace(found, ended_at=11)))
    (ended,) = db.read_sync(lambda s: sessions.conversations(s, "bob"))
    assert ended.ended_at == 11
    db.write_sync(lambda s: sessions.remove_peer(s, "bob"))
    assert db.read_sync(lambda s: sessions.conversations(s, "bob")) == []


# --- inbox ---


def test_duplicates_are_keyed_by_identity_key_and_message_id(db: Database) -> None:
    row = InboxRow("bob", K1, "msg_1", b"d" * 32, b"c" * 32, 5)
    db.write_sync(lambda s: inbox.add(s, row))
    assert db.read_sync(lambda s: inbox.seen(s, K1, "msg_1")) == row
    assert db.read_sync(lambda s: inbox.seen(s, K2, "msg_1")) is None
    assert db.read_sync(lambda s: inbox.seen(s, K1, "MSG_1")) is None
    with pytest.raises(IntegrityError):
        db.write_sync(lambda s: inbox.add(s, row))
    db.write_sync(lambda s: inbox.set_ack(s, K1, "msg_1", b"ack"))
    found = db.read_sync(lambda s: inbox.seen(s, K1, "msg_1"))
    assert found is not None
    assert found.ack == b"ack"
    assert db.write_sync(lambda s: inbox.forget(s, 6)) == 1


def test_what_was_set_aside_is_listed(db: Database) -> None:
    row = InboxRow("bob", K1, "m", b"d" * 32, b"c" * 32, 5, inbox.SET_ASIDE, problem="content.title: missing")
    db.write_sync(lambda s: inbox.add(s, row))
    db.write_sync(lambda s: inbox.add(s, replace(row, message_id="n", state=inbox.STORED)))
    assert db.read_sync(inbox.set_aside) == [row]


def test_messages_ahead_of_their_turn_wait_in_order(db: Database) -> None:
    def hold(session: Session) -> None:
        for seq in (4, 3):
            inbox.hold(session, HeldMessage(1, seq, f"m{seq}", "QUERY", {"a": seq}, 5, 100 + seq))

    db.write_sync(hold)
    assert [message.seq for message in db.read_sync(lambda s: inbox.held(s, 1))] == [3, 4]
    assert db.read_sync(inbox.next_deadline) == 103
    assert db.read_sync(lambda s: inbox.overdue(s, 102)) == []
    assert db.read_sync(lambda s: inbox.overdue(s, 200)) == [1]
    db.write_sync(lambda s: inbox.release(s, 1, 3))
    assert db.read_sync(inbox.next_deadline) == 104
    db.write_sync(lambda s: inbox.release(s, 1, 4))
    assert db.read_sync(inbox.next_deadline) is None


# --- proposals ---


def proposal(revision: int = 1, **changes: object) -> StoredProposal:
    """A proposal of Bob's."""
    record = StoredProposal(
        "bob",
        K1,
        "prop_1",
        revision,
        "conv_1",
        "in",
        "in",
        {"title": "Lunch"},
        "msg_1",
        1_000,
        2_000,
        revision,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def test_each_revision_with_each_peer_is_a_row(db: Database) -> None:
    rows = [proposal(1), proposal(2, state="ACCEPTED"), proposal(1, peer="carol", peer_key=K2, group_id="g")]
    for row in rows:
        db.write_sync(partial(proposals.add, proposal=row))
    assert db.read_sync(lambda s: proposals.latest(s, "BOB", "prop_1")) == rows[1]
    assert db.read_sync(lambda s: proposals.get(s, "bob", "prop_1", 1)) == rows[0]
    assert db.read_sync(lambda s: proposals.revisions(s, "prop_1")) == rows
    assert db.read_sync(lambda s: proposals.revisions(s, "prop_1", "carol")) == rows[2:]
    assert db.read_sync(lambda s: proposals.of_group(s, "g")) == rows[2:]
    assert db.read_sync(lambda s: proposals.in_state(s, "ACCEPTED")) == [rows[1]]
    assert db.read_sync(lambda s: proposals.every(s, 1)) == [rows[1]]
    with pytest.raises(IntegrityError):
        db.write_sync(lambda s: proposals.add(s, rows[0]))


def test_a_decision_on_a_state_that_changed_meanwhile_changes_nothing(db: Database) -> None:
    db.write_sync(lambda s: proposals.add(s, proposal()))
    assert db.write_sync(lambda s: proposals.decide(s, proposal(), "REJECTED", 9, reason="OTHER", note="no"))
    assert not db.write_sync(lambda s: proposals.decide(s, proposal(), "ACCEPTED", 10))
    found = db.read_sync(lambda s: proposals.get(s, "bob", "prop_1", 1))
    assert found is not None
    assert (found.state, found.reason, found.note, found.decided_at) == ("REJECTED", "OTHER", "no", 9)


def test_one_calendar_event_is_claimed(db: Database) -> None:
    db.write_sync(lambda s: proposals.add(s, proposal()))
    assert db.write_sync(lambda s: proposals.claim_event(s, proposal(), "e1"))
    assert not db.write_sync(lambda s: proposals.claim_event(s, proposal(), "e2"))


def test_proposals_whose_time_is_over_are_found(db: Database) -> None:
    for revision, (expires, state) in enumerate([(50, "PENDING"), (40, "ACCEPTED"), (None, "PENDING")], 1):
        record = proposal(revision, expires_at=expires, state=state)
        db.write_sync(partial(proposals.add, proposal=record))
    assert db.read_sync(proposals.next_deadline) == 50
    assert db.read_sync(lambda s: proposals.expired(s, 49)) == []
    assert [p.revision for p in db.read_sync(lambda s: proposals.expired(s, 50))] == [1]
    assert [p.revision for p in db.read_sync(lambda s: proposals.in_state(s, "PENDING"))] == [1, 3]


def test_slots_that_overlap_are_found(db: Database) -> None:
    db.write_sync(lambda s: proposals.add(s, proposal()))
    assert len(db.read_sync(lambda s: proposals.between(s, 1_999, 3_000, ("PENDING",)))) == 1
    assert db.read_sync(lambda s: proposals.between(s, 2_000, 3_000, ("PENDING",))) == []
    assert db.read_sync(lambda s: proposals.between(s, 0, 9_000, ("ACCEPTED",))) == []


# --- queries ---


def test_only_the_peer_that_was_asked_answers_a_query_and_only_once(db: Database) -> None:
    query = OwnQuery("req_1", "bob", "conv_1", "msg_1", "AVAILABILITY", {"a": 1}, 5, 100)
    db.write_sync(lambda s: queries.add(s, query))
    assert db.read_sync(queries.pending) == [query]
    assert not db.write_sync(lambda s: queries.answer(s, "req_1", "eve", queries.ANSWERED, 9, data={"x": 1}))
    assert db.write_sync(lambda s: queries.answer(s, "req_1", "BOB", queries.ANSWERED, 9, data={"x": 1}))
    assert not db.write_sync(lambda s: queries.answer(s, "req_1", "bob", queries.REFUSED, 10))
    found = db.read_sync(lambda s: queries.get(s, "req_1"))
    assert found == replace(query, state="ANSWERED", data={"x": 1}, answered_at=9)


def test_an_answer_after_the_time_still_counts(db: Database) -> None:
    db.write_sync(lambda s: queries.add(s, OwnQuery("r", "bob", "c", "m", "CUSTOM", {}, 5, 100)))
    assert db.read_sync(queries.next_deadline) == 100
    assert [query.request_id for query in db.read_sync(lambda s: queries.overdue(s, 100))] == ["r"]
    assert db.write_sync(lambda s: queries.answer(s, "r", "bob", queries.TIMED_OUT, 100))
    assert db.read_sync(queries.next_deadline) is None
    assert db.write_sync(lambda s: queries.answer(s, "r", "bob", queries.ANSWERED, 200, data={}))


def test_a_peers_query_is_answered_once(db: Database) -> None:
    query = PeerQuery("bob", K1, "req_1", "conv_1", "msg_1", "AVAILABILITY", {}, 5, answer={"slots": []})
    db.write_sync(lambda s: queries.add_peer_query(s, query))
    db.write_sync(lambda s: queries.add_peer_query(s, replace(query, peer="carol")))
    assert len(db.read_sync(lambda s: queries.find_peer_queries(s, "req_1"))) == 2
    assert db.read_sync(queries.waiting_requests) == [query, replace(query, peer="carol")]
    assert db.write_sync(
        lambda s: queries.answer_peer_query(s, "bob", "req_1", queries.DENIED, 9, {"error": 1})
    )
    assert not db.write_sync(lambda s: queries.answer_peer_query(s, "bob", "req_1", queries.ANSWERED, 9))
    found = db.read_sync(lambda s: queries.peer_query(s, "BOB", "req_1"))
    assert found == replace(query, state="DENIED", answer={"error": 1}, answered_at=9)


# --- settings and figures ---


def test_a_setting_is_replaced_and_removed(db: Database) -> None:
    db.write_sync(lambda s: settings.put(s, "a", {"x": 1}))
    db.write_sync(lambda s: settings.put(s, "a", None))
    assert db.read_sync(lambda s: settings.get(s, "a", "default")) is None
    db.write_sync(lambda s: settings.remove(s, "a"))
    assert db.read_sync(lambda s: settings.get(s, "a", "default")) == "default"


def test_figures_are_kept(db: Database) -> None:
    for value in range(100):
        db.write_sync(partial(metrics.sample, name="round_trip", time=value, value=value * 10))
    db.write_sync(lambda s: metrics.count(s, "reconnections", 2))
    db.write_sync(lambda s: metrics.count(s, "reconnections"))
    assert db.read_sync(metrics.counters) == {"reconnections": 3}
    assert [x.value for x in db.read_sync(lambda s: metrics.samples(s, "round_trip", 97))] == [970, 980, 990]
    assert db.read_sync(lambda s: metrics.percentile(s, "round_trip", 0, 0.95)) == 950
    assert db.read_sync(lambda s: metrics.percentile(s, "other", 0, 0.5)) is None
    db.write_sync(lambda s: metrics.forget_samples(s, 50))
    assert len(db.read_sync(lambda s: metrics.samples(s, "round_trip", 0))) == 50
