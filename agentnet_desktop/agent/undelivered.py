"""What becomes of a query or a proposal whose message did not arrive, and of one that is sent again after all.

Implements docs/protocol.md, *Outbox* and *State of a proposal*: a failed PROPOSAL stays PENDING, and can be sent
again and accepted until its own time is over, where the reason may pass; one that the person gave up is
withdrawn. Sends nothing itself but the REJECTION that a withdrawn one calls for when it did arrive.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.events import WITHDRAWN
from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.protocol.content import RejectionReason
from agentnet_desktop.protocol.delivery import MAY_PASS, FailureReason
from agentnet_desktop.protocol.proposal import ProposalEvent, ProposalState
from agentnet_desktop.store import contacts, proposals
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.proposals import StoredProposal
from relay.wire.envelope import MessageType

if TYPE_CHECKING:
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.negotiation import Negotiation
    from agentnet_desktop.agent.queries import Queries
    from agentnet_desktop.agent.session_life import SessionLife

_CLOSED = {
    ProposalState.ACCEPTED: "This proposal was accepted already.",
    ProposalState.MODIFIED: "Another time was suggested in place of this proposal.",
    ProposalState.REJECTED: "This proposal was withdrawn or declined: propose it again.",
}
_OVER = "The time to answer this proposal is over: propose it again."
_UNDELIVERABLE = "This proposal could not be delivered and is closed: propose it again."


class Undelivered:
    """Tells those whose messages did not arrive, and judges which may be sent again."""

    def __init__(
        self, negotiation: Negotiation, queries: Queries, delivery: Delivery, life: SessionLife
    ) -> None:
        """Keeps the rooms it works with."""
        self._life = life
        self._negotiation = negotiation
        self._queries = queries
        self._delivery = delivery

    def ended(self, turn: Turn, row: OutboxRow, reason: str) -> None:
        """A message's way ended without delivery: whoever posted it must know. It has ended whatever happens here."""
        turn.apart(lambda own: self._tell(own, row, reason), f"telling how {row.message_id} ended")

    def _tell(self, turn: Turn, row: OutboxRow, reason: str) -> None:
        if row.message_type == MessageType.DISCONNECT:  # the peer was not told; it ends here all the same
            self._life.end_conversation(turn, row.peer, row.conversation_id)
        kind, _, rest = row.subject.partition("/")
        if kind == "query":
            self._queries.undelivered(turn, rest, reason)
        stored = self._proposal(turn, row)
        # One that merely expired is closed by its own time.
        if stored is None or stored.state != ProposalState.PENDING or not reason:
            return
        if reason in MAY_PASS:
            self._note(turn, stored, f"Not delivered: {reason}")
        elif reason == FailureReason.CANCELLED:
            other = RejectionReason.OTHER.value
            self._negotiation.move(turn, stored, ProposalEvent.REJECT, reason=other, note=WITHDRAWN)
        else:
            self._negotiation.move(turn, stored, ProposalEvent.EXPIRE, note=f"Not delivered: {reason}")

    def again(self, turn: Turn, row: OutboxRow) -> int | None:
        """A person wants a message that failed or expired sent again.

        Returns:
            The time (ms) that it may not outlive, or None.

        Raises:
            NotAllowed: it would come too late, or after it was taken back. It says what to do.
        """
        if not row.subject.startswith("proposal/"):
            return None
        stored = self._proposal(turn, row)
        if stored is None:
            raise NotAllowed(_OVER)
        over = stored.expires_at is not None and stored.expires_at <= turn.now
        if stored.state != ProposalState.PENDING or over:
            lost = stored.state == ProposalState.EXPIRED and stored.note and not over
            raise NotAllowed(_CLOSED.get(ProposalState(stored.state), _UNDELIVERABLE if lost else _OVER))
        self._note(turn, stored, "")
        return stored.expires_at

    def reached(self, turn: Turn, row: OutboxRow) -> None:
        """A message that had ended without delivery has arrived after all, by its receipt."""
        stored = self._proposal(turn, row)
        if stored is None:
            return
        if stored.state == ProposalState.PENDING:
            self._note(turn, stored, "")
        contact = contacts.get(turn.session, row.peer)
        withdrawn = stored.state == ProposalState.REJECTED and stored.note == WITHDRAWN
        if contact is None or contact.identity_key != stored.peer_key:
            return
        if withdrawn and self._delivery.may_post(contact):
            self._negotiation.send_rejection(turn, contact, stored, RejectionReason.OTHER, "Withdrawn.")

    @staticmethod
    def _proposal(turn: Turn, row: OutboxRow) -> StoredProposal | None:
        """Returns the revision of a proposal that a message carries, if it does."""
        kind, _, rest = row.subject.partition("/")
        if kind != "proposal":
            return None
        proposal_id, _, revision = rest.rpartition("/")
        stored = proposals.get(turn.session, row.peer, proposal_id, int(revision))
        return stored if stored is not None and stored.message_id == row.message_id else None

    def _note(self, turn: Turn, stored: StoredProposal, note: str) -> None:
        if stored.note != note:
            stored = replace(stored, note=note)
            proposals.save(turn.session, stored)
            self._negotiation.tell(turn, stored)
