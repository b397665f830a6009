"""The models: Qt's own checks, order, and small changes instead of resets."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import (
    ContactChanged,
    Direction,
    OutboxView,
    PermissionAsked,
    ProposalChanged,
    QueryView,
    SecurityRaised,
    SecurityView,
)
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxKind, InboxModel
from agentnet_desktop.ui.models.meetings_model import MeetingsModel, agreed_slot
from agentnet_desktop.ui.models.security_model import SecurityModel
from tests.ui.conftest import HOUR, contact, proposal, snapshot


def test_contacts_stay_sorted_by_name(bridge: Bridge, qtmodeltester: ModelTester) -> None:
    model = ContactsModel(bridge)
    qtmodeltester.check(model)
    bridge.attached.emit(snapshot(contacts=(contact("dora"), contact("bob"), contact("adam", "BLOCKED"))))
    bridge.dispatch(ContactChanged(contact("carl")))
    bridge.dispatch(ContactChanged(contact("bob", name="Zoe")))
    assert [view.agent_id for view in model.views()] == ["carl", "dora", "bob", "adam"]
    bridge.dispatch(ContactChanged(contact("dora"), removed=True))
    assert model.find("dora") is None
    assert model.state_of("BOB") == "VERIFIED"
    assert model.state_of("stranger") == "UNKNOWN"
    assert model.data(model.index(0)) == "Carl, Verified"


def test_an_unchanged_place_changes_the_row_and_not_the_list(bridge: Bridge, qtbot: QtBot) -> None:
    model = ContactsModel(bridge)
    bridge.attached.emit(snapshot(contacts=(contact("bob"),)))
    with qtbot.waitSignal(model.dataChanged), qtbot.assertNotEmitted(model.rowsRemoved):
        bridge.dispatch(ContactChanged(contact("bob", online=True)))


def test_the_inbox_shows_the_soonest_deadline_first(bridge: Bridge, qtmodeltester: ModelTester) -> None:
    contacts = ContactsModel(bridge)
    model = InboxModel(bridge, contacts)
    qtmodeltester.check(model)
    late = proposal(1, expires_at=text.now_ms() + 9 * HOUR)
    soon = proposal(2, expires_at=text.now_ms() + HOUR)
    bridge.attached.emit(snapshot(contacts=(contact("eve", "KEY_CHANGED"),), proposals=(late, soon)))
    bridge.dispatch(ContactChanged(contact("dave", "PENDING")))
    bridge.dispatch(PermissionAsked(QueryView("req_1", "bob", "CUSTOM", {}, {}, 5)))
    assert [item.title for item in model.views()][:2] == ["Meeting 2", "Meeting 1"]
    assert {item.kind for item in model.views()} == {
        InboxKind.PROPOSAL, InboxKind.KEY_CHANGE, InboxKind.CONTACT, InboxKind.PERMISSION
    }  # fmt: skip


def test_what_is_settled_leaves_the_inbox(bridge: Bridge, qtbot: QtBot) -> None:
    model = InboxModel(bridge, ContactsModel(bridge))
    asked = QueryView("req_1", "bob", "CUSTOM", {}, {}, 5)
    with qtbot.waitSignal(model.arrived):
        bridge.dispatch(ProposalChanged(proposal(1), arrived=True))
    with qtbot.waitSignal(model.arrived):
        bridge.dispatch(ContactChanged(contact("dave", "PENDING")))
    bridge.dispatch(PermissionAsked(asked))
    bridge.dispatch(ProposalChanged(proposal(1, state="REJECTED")))
    bridge.dispatch(ContactChanged(contact("dave", "APPROVED")))
    bridge.dispatch(PermissionAsked(asked, closed=True))
    assert model.rowCount() == 0


def test_an_old_revision_that_closes_does_not_take_the_new_one_away(bridge: Bridge) -> None:
    model = InboxModel(bridge, ContactsModel(bridge))
    bridge.dispatch(ProposalChanged(proposal(1, revision=3), arrived=True))
    bridge.dispatch(ProposalChanged(proposal(1, revision=1, state="MODIFIED")))
    assert model.rowCount() == 1


def test_own_proposals_wait_for_others_and_not_for_me(bridge: Bridge) -> None:
    model = InboxModel(bridge, ContactsModel(bridge))
    bridge.dispatch(ProposalChanged(proposal(1, direction=Direction.OUT)))
    assert model.rowCount() == 0


def test_a_failed_message_is_stuck_until_it_is_settled(bridge: Bridge) -> None:
    model = InboxModel(bridge, ContactsModel(bridge))
    failed = OutboxView("msg_1", "bob", "conv_1", "QUERY", "NORMAL", "FAILED", "refused", 12, 1, None, 9)
    model._stuck([failed, replace(failed, message_id="msg_2", state="QUEUED")])
    assert [item.kind for item in model.views()] == [InboxKind.STUCK]
    model._stuck([])
    assert model.rowCount() == 0


def test_meetings_show_the_newest_revision(bridge: Bridge, qtmodeltester: ModelTester) -> None:
    model = MeetingsModel(bridge)
    qtmodeltester.check(model)
    bridge.attached.emit(
        snapshot(proposals=(proposal(1, revision=2), proposal(1, revision=1, state="MODIFIED")))
    )
    assert [view.revision for view in model.views()] == [2]
    bridge.dispatch(ProposalChanged(proposal(1, revision=1, state="MODIFIED")))
    assert [view.state for view in model.views()] == ["PENDING"]


def test_the_chosen_alternative_is_the_slot_that_counts() -> None:
    from agentnet_desktop.agent.events import Slot

    view = proposal(1, alternatives=(Slot(5, 6), Slot(7, 8)), chosen_alternative=2)
    assert agreed_slot(view) == (7, 8)
    assert agreed_slot(replace(view, chosen_alternative=9)) == (view.start, view.end)


def test_security_events_count_until_they_are_seen(bridge: Bridge, qtmodeltester: ModelTester) -> None:
    model = SecurityModel(bridge)
    qtmodeltester.check(model)
    for seq in (1, 2):
        bridge.dispatch(SecurityRaised(SecurityView(seq, seq, "eve", "BAD_SIGNATURE", "refused\x1b")))
    assert [view.seq for view in model.views()] == [2, 1]
    assert model.data(model.index(0)) == "refused␛"
    assert model.unseen == 2
    model.mark_seen()
    assert model.unseen == 0
