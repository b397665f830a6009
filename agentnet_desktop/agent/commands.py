"""The commands that a face gives to an agent: contacts, queries, proposals, permission, delivery, keys.

Every method is one line of delegation to the room that does the work (`trust`, `negotiation`, `policy`,
`delivery`, `conversations`); nothing is decided here. `Agent` in `agent.py` adds the life cycle. The command
line reaches the same methods through `control.RemoteAgent`, so arguments and results are plain data.
All raise `errors.AgentError` kinds: NotFound, NotAllowed, BadInput.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.events import (
    ContactView,
    LinkView,
    OutboxView,
    ProposalView,
    QueryAnswer,
    QueryView,
)

DAY_MS = 24 * 60 * 60 * 1000

QueryHandler = Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None]


class Commands:
    """What a face may ask of an agent."""

    # ------------------------------------------------------------------------------------ contacts

    async def contacts(self) -> list[ContactView]:
        """Returns all contacts, sorted by name."""
        raise NotImplementedError

    async def create_contact_link(self, expires_in_ms: int = 7 * DAY_MS) -> LinkView:
        """Makes a contact link to hand to someone: it names this agent, its relay, its key, a one-time token.

        Args:
            expires_in_ms: life of the link's token, 1 ms to 366 days.
        """
        raise NotImplementedError

    async def contact_links(self) -> list[LinkView]:
        """Returns all links made here, newest first, used and withdrawn ones too."""
        raise NotImplementedError

    async def withdraw_contact_link(self, token: str) -> None:
        """Withdraws a link that was handed out; who is a contact already stays one.

        Args:
            token: of the link, b64url, as `LinkView.token` has it.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    async def wait_contact(self, agent_id: str, timeout_s: float) -> ContactView | None:
        """Waits until a session with the contact exists.

        Returns:
            The contact, or None when the time is up.
        """
        raise NotImplementedError

    async def approve_contact(self, agent_id: str) -> ContactView:
        """Approves an agent that asks for contact: pins its key and answers its handshake."""
        raise NotImplementedError

    async def block_contact(self, agent_id: str) -> ContactView:
        """Blocks an agent: nothing of it is answered or shown any more, but for the log."""
        raise NotImplementedError

    async def remove_contact(self, agent_id: str) -> ContactView:
        """Forgets a contact: its key, sessions and waiting messages; the log stays."""
        raise NotImplementedError

    async def accept_key(self, agent_id: str) -> ContactView:
        """Accepts the changed key of a contact: pins it, wipes old sessions, holds queued messages."""
        raise NotImplementedError

    async def refuse_key(self, agent_id: str) -> ContactView:
        """Refuses the changed key of a contact for good and restores the contact's state."""
        raise NotImplementedError

    async def safety_number(self, agent_id: str) -> str:
        """Returns the 60 digits that two people compare; NotFound before a key is known."""
        raise NotImplementedError

    async def verify_contact(self, agent_id: str, number: str | None = None) -> ContactView:
        """Marks a contact VERIFIED.

        Args:
            agent_id: the contact.
            number: the digits read out by the other side (spaces do not matter); None: the person
                compared them by eye.

        Raises:
            BadInput: the number is another one. The contact's state does not change.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    async def wait_query(self, request_id: str, timeout_s: float) -> QueryAnswer | None:
        """Waits for the answer to a query of ours; None when the time is up (it stays queued)."""
        raise NotImplementedError

    async def propose(self, peers: Sequence[str], draft: ProposalDraft) -> list[ProposalView]:
        """Sends one proposal to each peer, under one proposalId.

        Returns:
            The proposals, PENDING, in the order of `peers`.
        """
        raise NotImplementedError

    async def wait_proposal(self, ref: str, timeout_s: float) -> ProposalView | None:
        """Waits until a proposal is answered, withdrawn or expired; None when the time is up.

        A counter-proposal (MODIFIED) counts as an answer.
        """
        raise NotImplementedError

    async def proposals(self, *, open_only: bool = False) -> list[ProposalView]:
        """Returns proposals, newest first; `open_only` leaves those that wait for an answer."""
        raise NotImplementedError

    async def proposal(self, ref: str) -> ProposalView:
        """Returns one proposal, newest revision.

        Args:
            ref: `peer/proposalId/revision`, `peer/proposalId`, or a proposalId that names only one.
        """
        raise NotImplementedError

    async def accept(self, ref: str, *, alternative: int = 0) -> ProposalView:
        """Accepts a proposal that came in.

        Args:
            ref: as in `proposal`.
            alternative: 0 for the main slot, else the number of an alternative.
        """
        raise NotImplementedError

    async def decline(self, ref: str, *, reason: str = "USER_DECLINED", note: str = "") -> ProposalView:
        """Declines a proposal that came in, with the protocol's reason and a note to the peer."""
        raise NotImplementedError

    async def counter(self, ref: str, *, start: str, end: str, location: str | None = None) -> ProposalView:
        """Suggests another time: closes the revision as MODIFIED and opens the next, which the peer answers.

        Args:
            ref: as in `proposal`.
            start: RFC 3339 with an offset.
            end: RFC 3339 with an offset.
            location: None keeps the place.
        """
        raise NotImplementedError

    async def cancel(self, ref: str, note: str = "") -> ProposalView:
        """Withdraws or cancels a proposal, before or after it was accepted, from either side."""
        raise NotImplementedError

    async def requests(self) -> list[QueryView]:
        """Returns the queries that wait for a person's permission, oldest first."""
        raise NotImplementedError

    async def allow_request(self, request_id: str, *, always: bool = False) -> None:
        """Sends the shown answer; `always` also sets the contact's policy for this type."""
        raise NotImplementedError

    async def deny_request(self, request_id: str, *, always: bool = False) -> None:
        """Answers PERMISSION_DENIED; `always` also sets the contact's policy for this type."""
        raise NotImplementedError

    def add_query_handler(self, name: str, handler: QueryHandler) -> None:
        """Registers who answers CUSTOM queries of this name.

        Args:
            name: the query's `name` parameter.
            handler: gets the peer and the parameters; returns the data, or None for UNAVAILABLE_DATA. It
                runs on the loop's thread and must be quick.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------------------------ delivery

    async def outbox(self) -> list[OutboxView]:
        """Returns the messages that are not delivered, in the order in which they will go."""
        raise NotImplementedError

    async def cancel_message(self, message_id: str) -> None:
        """Gives up on a message that is not delivered."""
        raise NotImplementedError

    async def retry_message(self, message_id: str) -> None:
        """Tries a waiting or failed message again at once."""
        raise NotImplementedError

    async def rotate_keys(self, peer: str | None = None) -> int:
        """Starts new handshakes in live conversations, with one peer or with all; returns how many."""
        raise NotImplementedError

    def reconnect_now(self) -> None:
        """Tries to connect at once instead of at the next planned attempt."""
        raise NotImplementedError
