"""The commands that a face gives to an agent: queries, proposals, permission, delivery, keys; and those of the files beside.

Every method is one line of delegation to the room that does the work (`trust`, `negotiation`, `policy`,
`delivery`, `conversations`); nothing is decided here. `Agent` in `agent.py` adds the life cycle. The command
line reaches the same methods through `control.RemoteAgent`, so arguments and results are plain data.
All raise `errors.AgentError` kinds: NotFound, NotAllowed, BadInput.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from agentnet_desktop.agent import policy, scheduling
from agentnet_desktop.agent.contact_commands import ContactCommands
from agentnet_desktop.agent.conversations import Conversations
from agentnet_desktop.agent.delivery import Delivery
from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import (
    Event,
    FiguresView,
    OutboxView,
    ProposalChanged,
    ProposalView,
    QueryAnswer,
    QueryAnswered,
    QueryView,
    SessionKeysView,
)
from agentnet_desktop.agent.figures import Figures
from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.agent.meetings import counter_content, find, first_content
from agentnet_desktop.agent.negotiation import Negotiation
from agentnet_desktop.agent.queries import Queries, QueryHandler
from agentnet_desktop.agent.schedule_views import FreeBusyView, PolicyView, TimesView
from agentnet_desktop.agent.views import (
    answer_view,
    keys_view,
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


class Commands(ContactCommands):
    """What a face may ask of an agent."""

    _queries: Queries
    _negotiation: Negotiation
    _conversations: Conversations
    _delivery: Delivery
    _figures: Figures

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

    async def suggest_times(
        self, peers: Sequence[str], start: int, end: int, *, minutes: int, time_zone: str, timeout_s: float
    ) -> TimesView:
        """Asks each peer's agent when its person is free, and says which times suit everyone here and there.

        Args:
            peers: agentIds of contacts.
            start: of the stretch to look at, ms.
            end: of the stretch, ms, at most 62 days later.
            minutes: how long the meeting is, 1 to 1440.
            time_zone: IANA zone in which days and full hours are meant.
            timeout_s: how long to wait for the answers.
        """
        return await scheduling.suggest(
            self,
            peers,
            start=start,
            end=end,
            minutes=minutes,
            time_zone=time_zone,
            timeout_s=timeout_s,
            now=self._ground.clock(),
        )

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
