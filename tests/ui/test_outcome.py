"""What the window says of a proposal that did not reach the other side, and of a message that may not go again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from agentnet_desktop.agent.events import WITHDRAWN, Direction, OutboxView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.inbox.outcome import outcome_words
from agentnet_desktop.ui.inbox.requests import StuckPanel
from agentnet_desktop.ui.models.contacts_model import ContactsModel
from agentnet_desktop.ui.models.inbox_model import InboxItem, InboxKind, InboxModel
from agentnet_desktop.ui.theme.tokens import Tone
from tests.ui.conftest import proposal

FAILED = OutboxView(
    "msg_1", "bob", "conv_1", "PROPOSAL", "HIGH", "FAILED", "No receipt came.", 12, 1, None, 9
)


@pytest.mark.parametrize(
    ("state", "note", "words", "tone"),
    [
        ("PENDING", "", "Waiting for Bob to answer.", Tone.ACCENT),
        ("PENDING", "Not delivered: TOO_LARGE", "Bob has not got it: try again or give it up, in the inbox.", Tone.WARN),
        ("REJECTED", WITHDRAWN, "It was taken back before it was delivered.", Tone.WARN),
    ],
)  # fmt: skip
def test_a_proposal_that_did_not_arrive_is_not_said_to_wait_for_an_answer(
    state: str, note: str, words: str, tone: Tone
) -> None:
    view = proposal(1, direction=Direction.OUT, state=state, note=note, reason="OTHER")
    assert outcome_words(view, "Bob") == (words, tone)


def test_a_message_that_was_given_up_leaves_the_inbox(bridge: Bridge) -> None:
    model = InboxModel(bridge, ContactsModel(bridge))
    model._stuck([FAILED])
    assert [item.kind for item in model.views()] == [InboxKind.STUCK]
    given_up = {name: getattr(FAILED, name) for name in FAILED.__dataclass_fields__} | {"given_up": True}
    model._stuck([OutboxView(**given_up)])
    assert model.rowCount() == 0


def test_a_message_that_may_not_go_again_says_why_where_one_asked(
    bridge: Bridge, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "The time to answer this proposal is over: propose it again."

    def refuse(_make: object, *, failed: Callable[[str], object], **_rest: Any) -> None:
        failed(sentence)

    model = InboxModel(bridge, ContactsModel(bridge))
    model._stuck([FAILED])
    panel = StuckPanel(bridge, ContactsModel(bridge))
    qtbot.addWidget(panel)
    (item,) = model.views()
    assert isinstance(item, InboxItem)
    panel.show_item(item)
    panel.show()
    monkeypatch.setattr(bridge, "command", refuse)
    panel._retry()
    assert panel.notice.isVisible()
    assert panel.notice.text() == sentence
