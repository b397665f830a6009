"""What waits, in which order it goes, and that nothing is found by walking all of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agentnet_desktop.store import outbox
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.outbox import OutboxRow

Message = Callable[..., OutboxRow]


def fill(db: Database, *rows: OutboxRow) -> None:
    """Queues messages in one transaction."""

    def job(session: Session) -> None:
        for row in rows:
            outbox.add(session, row)

    db.write_sync(job)


def due(db: Database, now: int = 10, limit: int = 64) -> list[str]:
    """The ids of what is due, in order."""
    return [row.message_id for row in db.read_sync(lambda s: outbox.due(s, now, limit))]


def test_a_stored_message_comes_back_whole(db: Database, message: Message) -> None:
    row = message(
        "m1", content={"a": [1, {"b": "ü"}]}, subject="query/1", priority="LOW", reason="NO_SESSION"
    )
    fill(db, row)
    found = db.read_sync(lambda s: outbox.get(s, "m1"))
    assert found is not None
    assert found.position == 1
    assert {**vars_of(found), "position": 0} == vars_of(row)
    assert db.read_sync(lambda s: outbox.get(s, "m2")) is None


def vars_of(row: OutboxRow) -> dict[str, object]:
    """A record's fields."""
    return {name: getattr(row, name) for name in OutboxRow.__struct_fields__}


def test_a_message_id_is_queued_once(db: Database, message: Message) -> None:
    fill(db, message("m1"))
    with pytest.raises(IntegrityError):
        fill(db, message("m1"))


def test_messages_of_one_conversation_go_in_order(db: Database, message: Message) -> None:
    fill(db, *(message(f"m{n}") for n in range(5)))
    assert due(db) == ["m0", "m1", "m2", "m3", "m4"]
    assert due(db, limit=2) == ["m0", "m1"]


def test_urgent_conversations_go_first(db: Database, message: Message) -> None:
    fill(
        db,
        message("low", conversation_id="c1", priority="LOW"),
        message("normal", conversation_id="c2"),
        message("high", conversation_id="c3", priority="HIGH"),
        message("high2", conversation_id="c4", priority="HIGH"),
    )
    assert due(db) == ["high", "high2", "normal", "low"]


def test_an_urgent_message_lifts_what_stands_before_it_in_its_conversation(
    db: Database, message: Message
) -> None:
    fill(
        db,
        message("other", conversation_id="c2"),
        message("first", conversation_id="c1", priority="LOW"),
        message("urgent", conversation_id="c1", priority="HIGH"),
        message("after", conversation_id="c1", priority="LOW"),
    )
    assert due(db) == ["first", "urgent", "other", "after"]


def _park(session: Session) -> object:
    return outbox.park_peer(session, "bob", "PEER_OFFLINE")


def _unseal(session: Session) -> object:
    return outbox.unseal_conversation(session, "bob", "conv_1", None)


@pytest.mark.parametrize("take_back", [_park, _unseal])
def test_what_goes_back_to_wait_is_not_overtaken_by_what_is_more_urgent(
    db: Database, message: Message, take_back: Callable[[Session], object]
) -> None:
    fill(db, message("m1", priority="LOW"))
    db.write_sync(lambda s: outbox.count_attempt(s, "m1", "IN_FLIGHT", 5_000))
    fill(db, message("m2"), message("m3", priority="HIGH"))
    db.write_sync(take_back)
    db.write_sync(lambda s: outbox.wake_peer(s, "bob", 10))
    assert due(db) == ["m1", "m2", "m3"]


def test_the_order_is_kept_for_each_conversation_alone(db: Database, message: Message) -> None:
    fill(
        db,
        message("one", conversation_id="c1"),
        message("low", conversation_id="c2", priority="LOW"),
        message("urgent", conversation_id="c1", priority="HIGH"),
        message("theirs", peer="carol", conversation_id="c1"),
    )
    db.write_sync(lambda s: outbox.keep_order(s, "BOB"))
    assert due(db) == ["one", "urgent", "theirs", "low"]


def test_what_waits_for_a_peer_can_be_left_out(db: Database, message: Message) -> None:
    fill(db, *(message(f"m{n}", peer="Bob") for n in range(3)), message("theirs", peer="carol"))
    db.write_sync(lambda s: outbox.count_attempt(s, "m0", "IN_FLIGHT", 5))
    found = db.read_sync(lambda s: outbox.due(s, 10, 1, without=["bob"]))
    assert [row.message_id for row in found] == ["m0"]
    db.write_sync(lambda s: outbox.settle(s, "m0", "DELIVERED", 10))
    found = db.read_sync(lambda s: outbox.due(s, 10, 1, without=["bob"]))
    assert [row.message_id for row in found] == ["theirs"]


def test_those_behind_one_that_waits_take_nobody_elses_place(db: Database, message: Message) -> None:
    fill(db, message("waits", next_attempt_at=None), *(message(f"m{n}") for n in range(70)))
    fill(db, message("theirs", peer="carol"))
    assert due(db, limit=64) == ["theirs"]


def test_a_conversation_that_waits_for_its_keys_waits_as_a_whole(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"), message("other", conversation_id="c2"))
    db.write_sync(lambda s: outbox.wait_conversation(s, "bob", "conv_1", "NO_SESSION"))
    assert due(db) == ["other"]
    rows = db.read_sync(outbox.waiting)
    assert [(row.reason, row.next_attempt_at is None) for row in rows] == [
        ("NO_SESSION", True),
        ("NO_SESSION", True),
        ("", False),
    ]
    assert db.write_sync(lambda s: outbox.wake_peer(s, "bob", 10, ["NO_SESSION"])) == 2


def test_an_unknown_priority_is_refused(db: Database, message: Message) -> None:
    with pytest.raises(KeyError):
        fill(db, message("m1", priority="SOON"))


def test_nothing_overtakes_a_message_that_waits_in_its_conversation(db: Database, message: Message) -> None:
    fill(
        db,
        message("waits", next_attempt_at=None),
        message("behind"),
        message("other", conversation_id="c2"),
        message("later", conversation_id="c3", next_attempt_at=50),
        message("behind later", conversation_id="c3"),
    )
    assert due(db) == ["other"]
    assert due(db, now=50) == ["other", "later", "behind later"]


def test_what_was_sent_and_waits_for_its_receipt_blocks_nothing(db: Database, message: Message) -> None:
    fill(db, message("sent"), message("next"))
    db.write_sync(lambda s: outbox.count_attempt(s, "sent", "IN_FLIGHT", 5_000))
    assert due(db) == ["next"]
    assert due(db, now=5_000) == ["sent", "next"]
    row = db.read_sync(lambda s: outbox.get(s, "sent"))
    assert row is not None
    assert (row.attempts, row.state, row.next_attempt_at) == (1, "IN_FLIGHT", 5_000)


def test_a_settled_message_is_due_no_more(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"))
    db.write_sync(lambda s: outbox.settle(s, "m1", "DELIVERED", 7))
    assert due(db) == ["m2"]
    assert db.read_sync(outbox.count_waiting) == 1
    assert [row.message_id for row in db.read_sync(outbox.waiting)] == ["m2"]


def test_attempts_and_expiries_are_planned_apart(db: Database, message: Message) -> None:
    assert db.read_sync(outbox.next_attempt) is None
    assert db.read_sync(outbox.next_expiry) is None
    fill(db, message("m1", next_attempt_at=None, expires_at=900), message("m2", next_attempt_at=300))
    assert db.read_sync(outbox.next_attempt) == 300
    assert db.read_sync(lambda s: outbox.next_attempt(s, again=True)) is None
    db.write_sync(lambda s: outbox.settle(s, "m2", "FAILED", 5, "REFUSED"))
    assert db.read_sync(outbox.next_attempt) is None
    assert db.read_sync(outbox.next_expiry) == 900


def test_expired_messages_are_found(db: Database, message: Message) -> None:
    fill(db, message("m1", expires_at=90), message("m2", expires_at=80), message("m3", expires_at=91))
    assert [row.message_id for row in db.read_sync(lambda s: outbox.expired(s, 90))] == ["m2", "m1"]


def test_a_receipt_for_any_ciphertext_of_a_message_is_known(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"))

    def seal(session: Session, seq: int, digest: bytes) -> None:
        outbox.set_sealed(session, "m1", session_row=seq, seq=seq, sealed=b"bytes", digest=digest, now=seq)

    db.write_sync(lambda s: seal(s, 1, b"a" * 32))
    db.write_sync(lambda s: seal(s, 2, b"b" * 32))
    db.write_sync(lambda s: seal(s, 2, b"b" * 32))
    row = db.read_sync(lambda s: outbox.get(s, "m1"))
    assert row is not None
    assert (row.seq, row.sealed) == (2, b"bytes")
    assert db.read_sync(lambda s: outbox.digests(s, "m1")) == [b"a" * 32, b"b" * 32]
    assert db.read_sync(lambda s: outbox.digests(s, "m2")) == []


def test_a_peer_that_goes_offline_parks_its_messages_and_one_probes(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2", conversation_id="c2"), message("carols", peer="carol"))
    assert db.write_sync(lambda s: outbox.park_peer(s, "BOB", "PEER_OFFLINE", probe_at=300)) == 2
    assert due(db) == ["carols"]
    assert due(db, now=300) == ["m1", "carols"]
    assert db.write_sync(lambda s: outbox.wake_peer(s, "bob", 20, ("OTHER",))) == 0
    assert db.write_sync(lambda s: outbox.wake_peer(s, "bob", 20)) == 2
    assert due(db, now=20) == ["m1", "m2", "carols"]


def test_a_session_wakes_only_its_conversation(db: Database, message: Message) -> None:
    fill(db, message("m1", next_attempt_at=None), message("m2", conversation_id="c2", next_attempt_at=None))
    assert db.write_sync(lambda s: outbox.wake_conversation(s, "bob", "c2", 5)) == 1
    assert due(db) == ["m2"]


def test_a_replaced_session_takes_back_its_sealed_bytes_in_order(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"), message("m3"), message("other", conversation_id="c2"))

    def seal(session: Session) -> None:
        for number, name in enumerate(("m1", "m2", "m3", "other"), 1):
            digest = bytes([number]) * 32
            outbox.set_sealed(session, name, session_row=1, seq=number, sealed=b"x", digest=digest, now=1)
            outbox.count_attempt(session, name, "ROUTED", 900)
        outbox.settle(session, "m1", "DELIVERED", 5)

    db.write_sync(seal)
    again = db.write_sync(lambda s: outbox.unseal_conversation(s, "bob", "conv_1", 10))
    assert [row.message_id for row in again] == ["m2", "m3"]
    assert all(row.sealed is None and row.seq is None and row.state == "QUEUED" for row in again)
    assert due(db) == ["m2", "m3"]
    assert db.read_sync(lambda s: outbox.digests(s, "m2")) == [bytes([2]) * 32]


def test_a_person_cancels_and_retries(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"))
    assert db.write_sync(lambda s: outbox.cancel(s, "m1", 5, "CANCELLED"))
    assert not db.write_sync(lambda s: outbox.cancel(s, "m1", 6, "CANCELLED"))
    row = db.read_sync(lambda s: outbox.get(s, "m1"))
    assert row is not None
    assert (row.state, row.reason, row.settled_at) == ("FAILED", "CANCELLED", 5)
    assert [row.message_id for row in db.read_sync(outbox.listed)] == ["m2", "m1"]
    assert db.write_sync(lambda s: outbox.retry(s, "m1", 9, 2_000_000))
    row = db.read_sync(lambda s: outbox.get(s, "m1"))
    assert row is not None
    assert (row.state, row.attempts, row.next_attempt_at, row.expires_at) == ("QUEUED", 0, 9, 2_000_000)
    db.write_sync(lambda s: outbox.settle(s, "m2", "DELIVERED", 9))
    assert not db.write_sync(lambda s: outbox.retry(s, "m2", 9, 2_000_000))


def test_after_a_crash_what_was_on_its_way_is_due_at_once(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"), message("m3"))
    db.write_sync(lambda s: outbox.count_attempt(s, "m1", "IN_FLIGHT", 5_000))
    db.write_sync(lambda s: outbox.count_attempt(s, "m2", "ROUTED", 6_000))
    db.write_sync(lambda s: outbox.settle(s, "m3", "DELIVERED", 4))
    fill(db, message("m4"))
    db.write_sync(lambda s: outbox.move(s, "m4", "ROUTED"))
    assert db.write_sync(lambda s: outbox.recover(s, 10)) == 3
    assert due(db) == ["m1", "m2", "m4"]


def test_an_attempt_that_was_cut_short_is_given_back(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"), message("m3", peer="carol"), message("m4"))
    db.write_sync(lambda s: outbox.count_attempt(s, "m1", "IN_FLIGHT", 5_000))
    db.write_sync(lambda s: outbox.count_attempt(s, "m2", "ROUTED", 10))
    db.write_sync(lambda s: outbox.count_attempt(s, "m3", "ROUTED", 6_000))
    assert db.write_sync(lambda s: outbox.give_back_attempts(s, 10, "BOB")) == 1
    assert db.write_sync(lambda s: outbox.give_back_attempts(s, 10)) == 1

    def attempts(name: str) -> int:
        row = db.read_sync(lambda s: outbox.get(s, name))
        assert row is not None
        return row.attempts

    assert [attempts(name) for name in ("m1", "m2", "m3", "m4")] == [0, 1, 0, 0]


def test_old_settled_messages_are_forgotten_with_their_digests(db: Database, message: Message) -> None:
    fill(db, message("m1"), message("m2"))
    db.write_sync(
        lambda s: outbox.set_sealed(s, "m1", session_row=1, seq=1, sealed=b"x", digest=b"d" * 32, now=1)
    )
    db.write_sync(lambda s: outbox.settle(s, "m1", "DELIVERED", 5))
    assert db.write_sync(lambda s: outbox.forget_settled(s, 5)) == 0
    assert db.write_sync(lambda s: outbox.forget_settled(s, 6)) == 1
    assert db.read_sync(lambda s: outbox.digests(s, "m1")) == []
    assert db.read_sync(outbox.count_waiting) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: outbox.due(s, 10),
        outbox.next_attempt,
        outbox.next_expiry,
        lambda s: outbox.expired(s, 10),
    ],
)
def test_what_is_due_is_found_by_index(db: Database, ask: Callable[[Session], object]) -> None:
    """Every statement searches an index; none walks or sorts the table."""

    def plans(session: Session) -> list[str]:
        statements: list[tuple[str, object]] = []
        raw = session.connection().connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(lambda text: statements.append((text, None)))
        ask(session)
        raw.set_trace_callback(None)
        found: list[str] = []
        for text, _ in statements:
            if text.startswith("SELECT"):
                found += [str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {text}")]
        return found

    steps = db.read_sync(plans)
    assert steps
    for step in steps:
        assert "USE TEMP B-TREE" not in step
        assert not step.startswith("SCAN outbox") or "INDEX" in step, step
