"""The commands that a face gives to an agent: contacts, queries, proposals, permission, delivery, keys.

Every method is one line of delegation to the room that does the work (`trust`, `negotiation`, `policy`,
`delivery`, `conversations`); nothing is decided here. `Agent` in `agent.py` adds the life cycle. The command
line reaches the same methods through `control.RemoteAgent`, so arguments and results are plain data.
All raise `errors.AgentError` kinds: NotFound, NotAllowed, BadInput.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.conversations import Conversations
from agentnet_desktop.agent.delivery import Delivery
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import (
    ContactChanged,
    ContactView,
    Event,
    FiguresView,
    FreeBusyView,
    LinkView,
    OutboxView,
    PolicyView,
    ProposalChanged,
    ProposalView,
    QueryAnswer,
    QueryAnswered,
    QueryView,
    SessionKeysView,
)
from agentnet_desktop.agent.figures import Figures
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.meetings import counter_content, find, first_content
from agentnet_desktop.agent.negotiation import Negotiation
from agentnet_desktop.agent.people import People
from agentnet_desktop.agent.presence import Presence
from agentnet_desktop.agent.queries import Queries, QueryHandler
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.agent.upkeep import Upkeep
from agentnet_desktop.agent.views import (
    answer_view,
    keys_view,
    link_view,
    outbox_view,
    proposal_view,
    query_view,
)
from agentnet_desktop.protocol.content import QueryType
from agentnet_desktop.protocol.proposal import ProposalState
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, outbox, proposals, queries, sessions
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.proposals import StoredProposal


class Commands(Upkeep):
    """What a face may ask of an agent."""

    _ground: Ground
    _presence: Presence
    _people: People
    _queries: Queries
    _negotiation: Negotiation
    _conversations: Conversations
    _delivery: Delivery
    _figures: Figures

    # ------------------------------------------------------------------------------------ contacts

    async def contacts(self) -> list[ContactView]:
        """Returns all contacts, sorted by name."""
        found = await self._ground.db.read(contacts.every)
        return sorted((self._presence.view(contact) for contact in found), key=lambda view: view.name.lower())

    async def create_contact_link(self, expires_in_ms: int = 7 * DAY_MS) -> LinkView:
        """Makes a contact link to hand to someone: it names this agent, its relay, its key, a one-time token.

        Args:
            expires_in_ms: life of the link's token, 1 ms to 366 days.
        """
        return await self._ground.turn(lambda turn: self._people.create_link(turn, expires_in_ms))

    async def contact_links(self) -> list[LinkView]:
        """Returns all links made here, newest first, used and withdrawn ones too."""
        return [link_view(record) for record in await self._ground.db.read(contacts.links)]

    async def withdraw_contact_link(self, token: str) -> None:
        """Withdraws a link that was handed out; who is a contact already stays one.

        Args:
            token: of the link, b64url, as `LinkView.token` has it.
        """
        await self._ground.turn(lambda turn: self._people.withdraw_link(turn, token))

    async def add_contact(self, link: str, *, name: str | None = None) -> ContactView:
        """Adds the contact that a link names and starts a handshake with it. The face has asked the person.

        Args:
            link: `agentnet://contact/…`.
            name: how the person calls the contact; the agentId if left out.

        Returns:
            The contact: VERIFIED when the link brought its key.

        Raises:
            BadInput: not a contact link, one's own link, or one for another relay (names both).
            NotAllowed: the link has another key than the pinned one, or the contact is blocked.
        """
        return await self._ground.turn(lambda turn: self._people.add(turn, link, name))

    async def wait_contact(self, agent_id: str, timeout_s: float) -> ContactView | None:
        """Waits until a session with the contact exists.

        Returns:
            The contact, or None when the time is up.
        """

        async def ready() -> ContactView | None:
            contact, stands = await self._ground.db.read(
                lambda session: (
                    contacts.get(session, agent_id),
                    bool(sessions.of_peer(session, agent_id, (SessionState.ACTIVE,))),
                )
            )
            return self._presence.view(contact) if contact is not None and stands else None

        return await self._ground.until(ContactChanged, ready, timeout_s)

    async def approve_contact(self, agent_id: str) -> ContactView:
        """Approves an agent that asks for contact: pins its key and answers its handshake."""
        return await self._ground.turn(lambda turn: self._people.approve(turn, agent_id))

    async def block_contact(self, agent_id: str) -> ContactView:
        """Blocks an agent: nothing of it is answered or shown any more, but for the log."""
        return await self._ground.turn(lambda turn: self._people.block(turn, agent_id))

    async def remove_contact(self, agent_id: str) -> ContactView:
        """Forgets a contact: its key, sessions and waiting messages; the log stays."""
        return await self._ground.turn(lambda turn: self._people.remove(turn, agent_id))

    async def accept_key(self, agent_id: str) -> ContactView:
        """Accepts the changed key of a contact: pins it, wipes old sessions, holds queued messages."""
        return await self._ground.turn(lambda turn: self._people.accept_key(turn, agent_id))

    async def refuse_key(self, agent_id: str) -> ContactView:
        """Refuses the changed key of a contact for good and restores the contact's state."""
        return await self._ground.turn(lambda turn: self._people.refuse_key(turn, agent_id))

    async def release_messages(self, agent_id: str) -> int:
        """Sends the messages that were held since a changed key was accepted; returns how many."""
        return await self._ground.turn(lambda turn: self._people.release(turn, agent_id))

    async def drop_messages(self, agent_id: str) -> int:
        """Gives up the messages that were held since a changed key was accepted; returns how many."""
        return await self._ground.turn(lambda turn: self._people.drop_held(turn, agent_id))

    async def safety_number(self, agent_id: str) -> str:
        """Returns the 60 digits that two people compare; NotFound before a key is known."""
        contact = await self._ground.db.read(lambda session: contacts.get(session, agent_id))
        if contact is None:
            raise NotFound(f"There is no contact {agent_id}.")
        return self._people.number(contact)

    async def verify_contact(self, agent_id: str, number: str | None = None) -> ContactView:
        """Marks a contact VERIFIED.

        Args:
            agent_id: the contact.
            number: the digits read out by the other side (spaces do not matter); None: the person
                compared them by eye.

        Raises:
            BadInput: the number is another one. The contact's state does not change.
        """
        return await self._ground.turn(lambda turn: self._people.verify(turn, agent_id, number))

    # ------------------------------------------------------------------------------------ meetings

    async def query(self, peer: str, query_type: str, parameters: Mapping[str, Any]) -> str:
        """Sends a query to a contact.

        Args:
            peer: agentId.
            query_type: AVAILABILITY, LOCATION_PREFERENCE, MEETING_TYPE_PREFERENCE or CUSTOM.
            parameters: as the protocol describes for the type.

        Returns:
            The requestId.
        """

        def job(turn: Turn) -> str:
            contact = self._people.sendable(turn, peer)
            return self._queries.ask(turn, contact, query_type, parameters)

        return await self._ground.turn(job)

    async def wait_query(self, request_id: str, timeout_s: float) -> QueryAnswer | None:
        """Waits for the answer to a query of ours; None when the time is up (it stays queued)."""
        told: list[QueryAnswer] = []

        def hear(event: Event) -> None:
            if isinstance(event, QueryAnswered) and event.answer.request_id == request_id:
                told.append(event.answer)

        async def answered() -> QueryAnswer | None:
            if told:
                return told[0]
            own = await self._ground.db.read(lambda session: queries.get(session, request_id))
            if own is None:
                raise NotFound(f"There is no query {request_id}.")
            return None if own.state == queries.PENDING else answer_view(own)

        end = self._ground.hub.subscribe(hear)
        try:
            return await self._ground.until(QueryAnswered, answered, timeout_s)
        finally:
            end()

    async def propose(self, peers: Sequence[str], draft: ProposalDraft) -> list[ProposalView]:
        """Sends one proposal to each peer, under one proposalId.

        Returns:
            The proposals, PENDING, in the order of `peers`.
        """
        return await self._ground.turn(lambda turn: self._propose(turn, peers, draft))

    async def wait_proposal(self, ref: str, timeout_s: float) -> ProposalView | None:
        """Waits until a proposal is answered, withdrawn or expired; None when the time is up.

        A counter-proposal (MODIFIED) counts as an answer.
        """

        async def decided() -> ProposalView | None:
            view = await self.proposal(ref)
            return None if view.state == ProposalState.PENDING else view

        ref = (await self.proposal(ref)).ref
        return await self._ground.until(ProposalChanged, decided, timeout_s)

    async def proposals(self, *, open_only: bool = False) -> list[ProposalView]:
        """Returns proposals, newest first; `open_only` leaves those that wait for an answer."""

        def job(session: Session) -> list[ProposalView]:
            if open_only:
                found = proposals.in_state(session, ProposalState.PENDING)
            else:
                found = proposals.every(session)
            return [proposal_view(one, contacts.get(session, one.peer)) for one in found]

        return await self._ground.db.read(job)

    async def proposal(self, ref: str) -> ProposalView:
        """Returns one proposal, newest revision.

        Args:
            ref: `peer/proposalId/revision`, `peer/proposalId`, or a proposalId that names only one.
        """

        def job(session: Session) -> ProposalView:
            found = find(session, ref)
            return proposal_view(found, contacts.get(session, found.peer))

        return await self._ground.db.read(job)

    async def accept(self, ref: str, *, alternative: int = 0) -> ProposalView:
        """Accepts a proposal that came in.

        Args:
            ref: as in `proposal`.
            alternative: 0 for the main slot, else the number of an alternative.
        """

        def job(turn: Turn) -> ProposalView:
            found, contact = self._found(turn, ref)
            return self._negotiation.accept(turn, contact, found, alternative)

        return await self._ground.turn(job)

    async def decline(self, ref: str, *, reason: str = "USER_DECLINED", note: str = "") -> ProposalView:
        """Declines a proposal that came in, with the protocol's reason and a note to the peer."""

        def job(turn: Turn) -> ProposalView:
            found, contact = self._found(turn, ref)
            return self._negotiation.decline(turn, contact, found, reason, note)

        return await self._ground.turn(job)

    async def counter(self, ref: str, *, start: str, end: str, location: str | None = None) -> ProposalView:
        """Suggests another time: closes the revision as MODIFIED and opens the next, which the peer answers.

        Args:
            ref: as in `proposal`.
            start: RFC 3339 with an offset.
            end: RFC 3339 with an offset.
            location: None keeps the place.
        """

        def job(turn: Turn) -> ProposalView:
            found, contact = self._found(turn, ref)
            zone = policy.own_zone(turn.session, self._ground.calendar)
            content = counter_content(found, start=start, end=end, location=location, zone=zone, now=turn.now)
            return self._negotiation.counter(turn, contact, found, content)

        return await self._ground.turn(job)

    async def cancel(self, ref: str, note: str = "") -> ProposalView:
        """Withdraws or cancels a proposal, before or after it was accepted, from either side."""

        def job(turn: Turn) -> ProposalView:
            found, contact = self._found(turn, ref)
            return self._negotiation.cancel(turn, contact, found, note)

        return await self._ground.turn(job)

    async def requests(self) -> list[QueryView]:
        """Returns the queries that wait for a person's permission, oldest first."""
        waiting = await self._ground.db.read(queries.waiting_requests)
        return [query_view(query) for query in waiting if query.answer]

    async def allow_request(self, request_id: str, *, always: bool = False) -> None:
        """Sends the shown answer; `always` also sets the contact's policy for this type."""
        await self._ground.turn(
            lambda turn: self._queries.decide(turn, request_id, allow=True, always=always)
        )

    async def deny_request(self, request_id: str, *, always: bool = False) -> None:
        """Answers PERMISSION_DENIED; `always` also sets the contact's policy for this type."""
        await self._ground.turn(
            lambda turn: self._queries.decide(turn, request_id, allow=False, always=always)
        )

    async def policy(self) -> list[PolicyView]:
        """Returns what everybody (`*`, first) and each contact may learn, by type of query."""

        def job(session: Session) -> list[PolicyView]:
            peers = [policy.EVERYBODY, *(contact.agent_id for contact in contacts.every(session))]
            return [policy.shown(session, peer, kind) for peer in peers for kind in QueryType]

        return await self._ground.db.read(job)

    async def set_policy(self, peer: str, query_type: str, level: str) -> PolicyView:
        """Sets what a contact may learn by one type of query without asking the person.

        Args:
            peer: agentId of a contact, or `*` for everybody without a rule of their own.
            query_type: AVAILABILITY, LOCATION_PREFERENCE, MEETING_TYPE_PREFERENCE or CUSTOM.
            level: deny, ask, coarse (half-days), slots (exact free times) or busy (what is taken, too).
        """
        return await self._ground.turn(lambda turn: policy.choose(turn.session, peer, query_type, level))

    async def free_busy(self, start: int, end: int) -> FreeBusyView:
        """Returns when the person is free and what is taken within [start, end), ms, at most 366 days."""
        calendar = self._ground.calendar
        return await self._ground.db.read(lambda session: policy.free_busy(session, calendar, start, end))

    def add_query_handler(self, name: str, handler: QueryHandler) -> None:
        """Registers who answers CUSTOM queries of this name.

        Args:
            name: the query's `name` parameter.
            handler: gets the peer and the parameters; returns the data, or None for UNAVAILABLE_DATA. It
                runs on the loop's thread and must be quick.
        """
        self._queries.handlers[name] = handler

    # ------------------------------------------------------------------------------------ delivery

    async def outbox(self) -> list[OutboxView]:
        """Returns the messages that are not delivered, in the order in which they will go."""
        return [outbox_view(row) for row in await self._ground.db.read(outbox.listed)]

    async def cancel_message(self, message_id: str) -> None:
        """Gives up on a message that is not delivered."""
        await self._ground.turn(lambda turn: self._delivery.cancel(turn, message_id))

    async def retry_message(self, message_id: str) -> None:
        """Tries a waiting or failed message again at once."""
        await self._ground.turn(lambda turn: self._delivery.retry(turn, message_id))

    async def rotate_keys(self, peer: str | None = None) -> int:
        """Starts new handshakes in live conversations, with one peer or with all; returns how many."""
        return await self._ground.turn(lambda turn: self._conversations.rotate(turn, peer))

    async def session_keys(self) -> list[SessionKeysView]:
        """Returns the age of the keys of all live conversations, those that rotate soonest first."""
        live = await self._ground.db.read(lambda session: sessions.in_states(session, (SessionState.ACTIVE,)))
        found = [keys_view(stored, self._ground.timing) for stored in live]
        return sorted(found, key=lambda view: view.rotates_at)

    async def figures(self) -> FiguresView:
        """Returns what was measured: connect time, round trips, message latency, reconnections, retries."""
        return await self._figures.view()

    # ------------------------------------------------------------------------------------------ private

    def _found(self, turn: Turn, ref: str) -> tuple[StoredProposal, Contact]:
        """Returns the proposal that a command names, newest revision, and its contact, who can be written to."""
        found = find(turn.session, ref)
        newest = proposals.latest(turn.session, found.peer, found.proposal_id) or found
        if newest.revision != found.revision:
            raise NotAllowed(
                f"There is a newer version of this proposal: {newest.peer}/{newest.proposal_id}."
            )
        return found, self._people.sendable(turn, found.peer)

    def _propose(self, turn: Turn, peers: Sequence[str], draft: ProposalDraft) -> list[ProposalView]:
        if not peers:
            raise BadInput("Name at least one contact to propose to.")
        recipients = [self._people.sendable(turn, peer) for peer in peers]
        if len({contact.agent_id for contact in recipients}) < len(recipients):
            raise BadInput("A contact is named twice.")
        proposal_id = self._ground.new_id("prop_", turn.now)
        content = first_content(
            draft,
            proposal_id=proposal_id,
            participants=[self._ground.agent_id, *(contact.agent_id for contact in recipients)],
            zone=policy.own_zone(turn.session, self._ground.calendar),
            now=turn.now,
        )
        group = proposal_id if len(recipients) > 1 else ""
        return [self._negotiation.propose(turn, contact, content, group) for contact in recipients]
