"""The proposals of both directions, newest start first, one row a proposal: its newest revision."""

from __future__ import annotations

from PySide6.QtCore import QObject

from agentnet_desktop.agent.events import AgentSnapshot, ProposalChanged, ProposalView
from agentnet_desktop.ui import trust
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.models.views import ViewsModel
from agentnet_desktop.ui.text import TITLE_LIMIT, peer_text


def proposal_key(view: ProposalView) -> str:
    """Name a proposal across its revisions."""
    return f"{view.peer.lower()}/{view.proposal_id}"


def agreed_slot(view: ProposalView) -> tuple[int, int]:
    """Give start and end of the slot that counts: the chosen alternative, or the main one."""
    chosen = view.chosen_alternative
    if 0 < chosen <= len(view.alternatives):
        slot = view.alternatives[chosen - 1]
        return slot.start, slot.end
    return view.start, view.end


class MeetingsModel(ViewsModel[ProposalView]):
    """Every proposal that the agent knows."""

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(
            key=proposal_key,
            order=lambda view: -view.start,
            words=lambda view: (
                f"{peer_text(view.title, TITLE_LIMIT)}, {trust.proposal_mark(view.state).word}"
            ),
            parent=parent,
        )
        bridge.attached.connect(self._start)
        bridge.proposal_changed.connect(self._change)

    def _start(self, snapshot: AgentSnapshot) -> None:
        newest: dict[str, ProposalView] = {}
        for view in snapshot.proposals:
            known = newest.get(proposal_key(view))
            if known is None or known.revision <= view.revision:
                newest[proposal_key(view)] = view
        self.replace_all(newest.values())

    def _change(self, event: ProposalChanged) -> None:
        known = self.find(proposal_key(event.view))
        if known is None or known.revision <= event.view.revision:
            self.put(event.view)
