"""Negotiation: the life of proposals, ours and theirs.

Implements docs/protocol.md, *Proposals*: accept, decline, counter, withdraw, expire, and what follows when two
messages cross. Which step is legal is `protocol.proposal`'s table. Everything runs inside a turn, so a
proposal's row, the message about it and the log entry stand or fall together.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agentnet_desktop.agent.errors import BadInput, NotAllowed
from agentnet_desktop.agent.events import WITHDRAWN, ProposalChanged, ProposalView
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.timing import MINUTE_MS
from agentnet_desktop.agent.views import proposal_view, slots
from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.content import (
    ConfirmationContent,
    Content,
    ProposalContent,
    RejectionContent,
    RejectionReason,
    build_content,
)
from agentnet_desktop.protocol.proposal import (
    Held,
    ProposalEvent,
    ProposalState,
    Verdict,
    next_state,
    on_confirmation,
    on_proposal,
    on_rejection,
)
from agentnet_desktop.store import contacts, proposals
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.proposals import StoredProposal
from relay.wire.envelope import MessageType, Priority
from relay.wire.errors import WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.conversations import Conversations
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.receiving import Arrived, Receiving

IN, OUT = "in", "out"
_OPEN = (ProposalState.PENDING, ProposalState.ACCEPTED)


class Negotiation:
    """The proposals of one agent."""

    def __init__(
        self,
        ground: Ground,
        journal: Journal,
        conversations: Conversations,
        delivery: Delivery,
        receiving: Receiving,
    ) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._conversations = conversations
        self._delivery = delivery
        self._receiving = receiving

    # ------------------------------------------------------------------------------------------ telling

    def view(self, turn: Turn, proposal: StoredProposal) -> ProposalView:
        """Returns a revision as faces see it."""
        return proposal_view(proposal, contacts.get(turn.session, proposal.peer))

    def tell(self, turn: Turn, proposal: StoredProposal, *, arrived: bool = False) -> ProposalView:
        """Tells faces how a revision stands; `arrived`: it came just now."""
        view = self.view(turn, proposal)
        turn.tell(ProposalChanged(view, arrived=arrived))
        return view

    def move(
        self,
        turn: Turn,
        proposal: StoredProposal,
        event: ProposalEvent,
        *,
        alternative: int | None = None,
        reason: str = "",
        note: str = "",
    ) -> StoredProposal:
        """Moves a revision to the state that follows; IllegalTransition changes nothing."""
        state = next_state(ProposalState(proposal.state), event)
        chosen = proposal.chosen_alternative if alternative is None else alternative
        proposals.decide(
            turn.session, proposal, state, turn.now, alternative=chosen, reason=reason, note=note
        )
        moved = replace(
            proposal,
            state=state,
            chosen_alternative=chosen,
            reason=reason,
            note=note,
            decided_at=turn.now,
        )
        self.tell(turn, moved)
        return moved

    # ------------------------------------------------------------------------------------------ sending

    def propose(
        self, turn: Turn, contact: Contact, content: dict[str, Any], group_id: str = ""
    ) -> ProposalView:
        """Sends revision 1 of a proposal to one contact.

        Args:
            turn: of the transaction.
            contact: the recipient.
            content: of the PROPOSAL, valid.
            group_id: names a meeting of several participants.
        """
        conversation_id = self._conversations.choose(turn, contact)
        stored = self._stored(turn, contact, conversation_id, content, OUT, OUT)
        stored = replace(stored, group_id=group_id)
        proposals.add(turn.session, stored)
        return self._send_proposal(turn, contact, stored)

    def _stored(
        self,
        turn: Turn,
        contact: Contact,
        conversation_id: str,
        content: dict[str, Any],
        direction: str,
        original: str,
        message_id: str = "",
    ) -> StoredProposal:
        details = content["details"]
        return StoredProposal(
            peer=contact.agent_id,
            peer_key=contact.identity_key or b"",
            proposal_id=content["proposalId"],
            revision=details.get("revision") or 1,
            conversation_id=conversation_id,
            direction=direction,
            original_direction=original,
            content=content,
            message_id=message_id,
            start=times.parse_instant(details["startTime"], "startTime"),
            end=times.parse_instant(details["endTime"], "endTime"),
            created_at=turn.now,
            expires_at=details.get("expiresAt"),
        )

    def _send_proposal(self, turn: Turn, contact: Contact, stored: StoredProposal) -> ProposalView:
        row = self._delivery.post(
            turn,
            contact,
            stored.conversation_id,
            MessageType.PROPOSAL,
            stored.content,
            priority=Priority.HIGH,
            requires_response=True,
            expires_at=stored.expires_at,
            subject=f"proposal/{stored.proposal_id}/{stored.revision}",
        )
        stored = replace(stored, message_id=row.message_id, log_seq=row.log_seq)
        proposals.save(turn.session, stored)
        if stored.expires_at is not None:
            turn.wake("proposals", stored.expires_at)
        return self.tell(turn, stored)

    def _answer(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, kind: MessageType, content: Content
    ) -> None:
        self._delivery.post(
            turn,
            contact,
            proposal.conversation_id,
            kind,
            build_content(content),
            priority=Priority.HIGH,
            subject=f"answer/{proposal.proposal_id}/{proposal.revision}",
        )

    def accept(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, alternative: int
    ) -> ProposalView:
        """Accepts a proposal that came in."""
        self._must_wait_for_us(turn, contact, proposal)
        if not 0 <= alternative < len(slots(proposal)):
            raise BadInput(f"This proposal has no alternative {alternative}.")
        moved = self.move(turn, proposal, ProposalEvent.ACCEPT, alternative=alternative)
        confirmation = ConfirmationContent(
            proposal_id=proposal.proposal_id,
            status=ProposalState.ACCEPTED,
            revision=proposal.revision,
            alternative=alternative,
        )
        self._answer(turn, contact, proposal, MessageType.CONFIRMATION, confirmation)
        return self.view(turn, moved)

    def decline(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, reason: str, note: str
    ) -> ProposalView:
        """Declines a proposal that came in."""
        self._must_wait_for_us(turn, contact, proposal)
        if reason not in RejectionReason.__members__:
            words = ", ".join(RejectionReason.__members__)
            raise BadInput(f"The reason must be one of {words}.")
        if reason == RejectionReason.OTHER and not note:
            raise BadInput("The reason OTHER needs a note that explains it.")
        return self._reject(turn, contact, proposal, RejectionReason(reason), note)

    def cancel(self, turn: Turn, contact: Contact, proposal: StoredProposal, note: str) -> ProposalView:
        """Withdraws or cancels a proposal from either side, before or after it was accepted."""
        if proposal.state not in _OPEN:
            raise NotAllowed(f"This proposal is {proposal.state} and cannot be cancelled any more.")
        words = note or ("Cancelled." if proposal.state == ProposalState.ACCEPTED else "Withdrawn.")
        if proposal.peer_key != contact.identity_key:  # whoever that was, there is nobody to tell
            reason = RejectionReason.OTHER.value
            return self.view(turn, self.move(turn, proposal, ProposalEvent.REJECT, reason=reason, note=words))
        if not self._delivery.withdraw(turn, proposal.message_id):  # nobody there has heard of it
            moved = self.move(turn, proposal, ProposalEvent.REJECT, reason="OTHER", note=WITHDRAWN)
            return self.view(turn, moved)
        return self._reject(turn, contact, proposal, RejectionReason.OTHER, words)

    def _reject(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, reason: RejectionReason, note: str
    ) -> ProposalView:
        moved = self.move(turn, proposal, ProposalEvent.REJECT, reason=reason.value, note=note)
        self.send_rejection(turn, contact, moved, reason, note)
        return self.view(turn, moved)

    def send_rejection(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, reason: RejectionReason, note: str
    ) -> None:
        """Sends the REJECTION of a revision that was moved already."""
        rejection = RejectionContent(
            proposal_id=proposal.proposal_id,
            reason=reason,
            revision=proposal.revision,
            details=note or None,
        )
        self._answer(turn, contact, proposal, MessageType.REJECTION, rejection)

    def counter(
        self, turn: Turn, contact: Contact, proposal: StoredProposal, content: dict[str, Any]
    ) -> ProposalView:
        """Closes a revision as MODIFIED and opens the next with another time, which the peer answers."""
        if proposal.state not in _OPEN:
            raise NotAllowed(f"This proposal is {proposal.state}: make a new one instead.")
        _must_be_theirs(contact, proposal)
        self.move(turn, proposal, ProposalEvent.MODIFY)
        stored = self._stored(
            turn, contact, proposal.conversation_id, content, OUT, proposal.original_direction
        )
        stored = replace(stored, group_id=proposal.group_id)
        proposals.add(turn.session, stored)
        return self._send_proposal(turn, contact, stored)

    def close(self, turn: Turn, contact: Contact) -> None:
        """Ends what is pending with a contact that is removed; what was accepted stands, and is nobody's to change."""
        for stored in proposals.pending_with(turn.session, contact.agent_id):
            words = "The contact was removed."
            self.move(turn, stored, ProposalEvent.REJECT, reason=RejectionReason.OTHER.value, note=words)

    def _must_wait_for_us(self, turn: Turn, contact: Contact, proposal: StoredProposal) -> None:
        if proposal.direction != IN:
            raise NotAllowed("This proposal is your own: the other side answers it.")
        if proposal.state != ProposalState.PENDING:
            raise NotAllowed(f"This proposal is {proposal.state} and waits for no answer.")
        if proposal.expires_at is not None and proposal.expires_at <= turn.now:
            raise NotAllowed("This proposal has expired.")
        _must_be_theirs(contact, proposal)

    # ---------------------------------------------------------------------------------------- receiving

    def _newest(
        self, turn: Turn, contact: Contact, proposal_id: str
    ) -> tuple[StoredProposal | None, Held | None]:
        """Returns the newest revision held; one whose time is over is EXPIRED first, timer or not.

        A proposal with another identity under the same agentId is none of the contact's.
        """
        stored = proposals.latest(turn.session, contact.agent_id, proposal_id)
        if stored is None or stored.peer_key != contact.identity_key:
            return None, None
        over = stored.expires_at is not None and stored.expires_at <= turn.now
        if over and stored.state == ProposalState.PENDING:
            stored = self._expire(turn, stored)
        return stored, Held(stored.revision, ProposalState(stored.state), stored.direction == OUT)

    def proposed(self, turn: Turn, message: Arrived, content: ProposalContent) -> None:
        """Handles a PROPOSAL."""
        revision = content.details.revision
        newest, held = self._newest(turn, message.contact, content.proposal_id)
        ours = newest is not None and newest.original_direction == OUT
        verdict = on_proposal(held, revision, we_began=ours)
        if verdict not in (Verdict.APPLY, Verdict.REPLACE):
            self._refuse(turn, message, content.proposal_id, revision, verdict)
            return
        original = IN if newest is None else newest.original_direction
        stored = self._stored(
            turn,
            message.contact,
            message.conversation_id,
            dict(message.raw),
            IN,
            original,
            message.message_id,
        )
        stored = replace(stored, log_seq=message.log_seq, group_id=newest.group_id if newest else "")
        if newest is not None and verdict is Verdict.REPLACE:
            proposals.save(turn.session, stored)
        else:
            if newest is not None:
                self.move(turn, newest, ProposalEvent.MODIFY)
            else:
                self._make_room(turn, stored)
            proposals.add(turn.session, stored)
        if stored.expires_at is not None and stored.expires_at <= turn.now:
            self._expire(turn, stored)
            return
        if stored.expires_at is not None:
            turn.wake("proposals", stored.expires_at)
        self.tell(turn, stored, arrived=True)

    def _make_room(self, turn: Turn, proposal: StoredProposal) -> None:
        """Lets a new proposal have its id, where one with an earlier identity of that agentId has the same."""
        if proposals.latest(turn.session, proposal.peer, proposal.proposal_id) is None:
            return
        name = f"{proposal.proposal_id}~{self._ground.new_id('', turn.now)}"  # no id has a "~"
        for old in proposals.set_apart(turn.session, proposal.peer, proposal.proposal_id, name):
            self.tell(turn, old)

    def confirmed(self, turn: Turn, message: Arrived, content: ConfirmationContent) -> None:
        """Handles a CONFIRMATION: the calendar is checked again before the meeting stands."""
        newest, held = self._newest(turn, message.contact, content.proposal_id)
        verdict = on_confirmation(held, content.revision)
        if newest is not None and verdict is Verdict.APPLY and content.alternative >= len(slots(newest)):
            verdict = Verdict.NOT_THEIRS
        if newest is None or verdict is not Verdict.APPLY:
            self._refuse(turn, message, content.proposal_id, content.revision, verdict)
            return
        if self._taken(turn, newest, content.alternative):
            note = "That time is not free any more."
            moved = self.move(
                turn,
                newest,
                ProposalEvent.REJECT,
                reason=RejectionReason.SCHEDULE_CONFLICT.value,
                note=note,
            )
            self.send_rejection(turn, message.contact, moved, RejectionReason.SCHEDULE_CONFLICT, note)
            return
        self.move(turn, newest, ProposalEvent.ACCEPT, alternative=content.alternative)

    def _taken(self, turn: Turn, proposal: StoredProposal, alternative: int) -> bool:
        """Tells whether another meeting has taken a proposal's slot since."""
        wanted = slots(proposal)[alternative]
        for other in proposals.in_state(turn.session, ProposalState.ACCEPTED):
            if other.proposal_id == proposal.proposal_id:
                continue
            slot = slots(other)[other.chosen_alternative]
            if slot.start < wanted.end and wanted.start < slot.end:
                return True
        return False

    def rejected(self, turn: Turn, message: Arrived, content: RejectionContent) -> None:
        """Handles a REJECTION: declined, withdrawn or cancelled by the peer."""
        newest, held = self._newest(turn, message.contact, content.proposal_id)
        verdict = on_rejection(held, content.revision)
        if newest is None or verdict is not Verdict.APPLY:
            self._refuse(turn, message, content.proposal_id, content.revision, verdict)
            return
        self.move(
            turn,
            newest,
            ProposalEvent.REJECT,
            reason=content.reason.value,
            note=content.details or "",
        )

    def _refuse(
        self, turn: Turn, message: Arrived, proposal_id: str, revision: int, verdict: Verdict
    ) -> None:
        """Answers what cannot take effect: with ERROR when it is stale or misplaced, with REJECTION when closed."""
        if verdict is Verdict.CLOSED:
            if self._delivery.may_post(message.contact):
                rejection = RejectionContent(
                    proposal_id=proposal_id,
                    reason=RejectionReason.OTHER,
                    revision=revision,
                    details="The proposal is closed.",
                )
                self._delivery.post(
                    turn,
                    message.contact,
                    message.conversation_id,
                    MessageType.REJECTION,
                    build_content(rejection),
                    priority=Priority.HIGH,
                )
            return
        if verdict is Verdict.IGNORE:
            return
        words = {
            Verdict.STALE: "is not the newest revision",
            Verdict.NOT_THEIRS: "is not a revision that the sender can answer",
        }
        error = WireError("content.revision", words.get(verdict, "cannot be applied"))
        self._receiving.complain(turn, message.contact, message.conversation_id, message.message_id, error)

    # ----------------------------------------------------------------------------------------------- due

    def due(self, turn: Turn) -> None:
        """Closes the proposals whose time is over."""
        for stored in proposals.expired(turn.session, turn.now):
            turn.apart(partial(self._expire, stored=stored), f"closing {stored.proposal_id}")
        if (at := proposals.next_deadline(turn.session)) is not None:
            turn.wake("proposals", at if at > turn.now else turn.now + MINUTE_MS)

    def _expire(self, turn: Turn, stored: StoredProposal) -> StoredProposal:
        expired = self.move(turn, stored, ProposalEvent.EXPIRE, note=stored.note)
        name = self._journal.name(turn, stored.peer)
        title = str(stored.content["details"].get("title", ""))[:60]
        ours = stored.direction == OUT
        missed = f"“{title}” did not reach {name} in time" if stored.note else ""
        words = (
            missed or f"{name} did not answer “{title}” in time" if ours else f"“{title}” of {name} expired"
        )
        self._journal.local(
            turn,
            peer=stored.peer,
            message_type="ERROR" if ours else "PROPOSAL",
            state="EXPIRED",
            summary=words,
            conversation_id=stored.conversation_id,
            message_id=stored.message_id,
            content={
                "proposalId": stored.proposal_id,
                "revision": stored.revision,
                **({"errorCode": "TIMEOUT_ERROR"} if ours else {}),
            },
        )
        return expired


def _must_be_theirs(contact: Contact, proposal: StoredProposal) -> None:
    """Refuses to tell one identity what was agreed with another under the same agentId."""
    if proposal.peer_key != contact.identity_key:
        raise NotAllowed(
            f"This proposal is of somebody who was {contact.agent_id} before: make a new one instead."
        )
