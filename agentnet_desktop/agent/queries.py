"""Queries: ours and what becomes of them, peers' and who answers them.

Implements docs/protocol.md, *Queries*. What the policy allows is answered in the transaction that stored the
query; what asks a person waits with the very answer that would be sent. CUSTOM queries go to handlers that
the application registers, else the data is unavailable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.errors import BadInput, NotFound
from agentnet_desktop.agent.events import PermissionAsked, QueryAnswer, QueryAnswered, QueryView
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.policy import Level
from agentnet_desktop.agent.timing import MINUTE_MS
from agentnet_desktop.agent.views import answer_view, query_view
from agentnet_desktop.protocol.contact import ContactState, may_answer_automatically, may_send
from agentnet_desktop.protocol.content import (
    QueryContent,
    QueryType,
    ResponseContent,
    ResponseErrorCode,
    availability,
    availability_data,
    custom_name,
    parse_content,
)
from agentnet_desktop.store import contacts, queries
from agentnet_desktop.store.contacts import Contact
from agentnet_desktop.store.models import PeerQueryModel
from agentnet_desktop.store.queries import OwnQuery, PeerQuery
from relay.wire.envelope import MessageType, agent_key
from relay.wire.errors import WireError

if TYPE_CHECKING:
    from agentnet_desktop.agent.conversations import Conversations
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.receiving import Arrived

QueryHandler = Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None]

_FAILED = policy.error(
    ResponseErrorCode.INTERNAL_ERROR, "An internal error occurred while processing the query."
)
_NOT_YET: Mapping[str, Any] = {}  # the answer of a query that its handler has not seen

_log = logging.getLogger(__name__)


def _prepare(turn: Turn, query: PeerQuery, answer: Mapping[str, Any]) -> None:
    """Stores the answer that a person is shown."""
    turn.session.execute(
        update(PeerQueryModel)
        .where(PeerQueryModel.peer == query.peer, PeerQueryModel.request_id == query.request_id)
        .values(answer=answer)
    )


class Queries:
    """The queries of one agent, both ways."""

    def __init__(
        self, ground: Ground, journal: Journal, conversations: Conversations, delivery: Delivery
    ) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._conversations = conversations
        self._delivery = delivery
        self.handlers: dict[str, QueryHandler] = {}

    # --------------------------------------------------------------------------------------------- ours

    def ask(self, turn: Turn, contact: Contact, query_type: str, parameters: Mapping[str, Any]) -> str:
        """Sends a query; returns its requestId.

        Raises:
            BadInput: the type is unknown or the parameters do not fit it.
        """
        request_id = self._ground.new_id("req_", turn.now)
        content = {"requestId": request_id, "queryType": query_type, "parameters": dict(parameters)}
        try:
            parse_content(MessageType.QUERY, content)
            if query_type == QueryType.AVAILABILITY:
                availability(parameters)
            elif query_type == QueryType.CUSTOM:
                custom_name(parameters)
        except WireError as fault:
            raise BadInput(f"{fault.field.removeprefix('content.')} {fault.reason}.") from None
        conversation_id = self._conversations.choose(turn, contact)
        row = self._delivery.post(
            turn,
            contact,
            conversation_id,
            MessageType.QUERY,
            content,
            requires_response=True,
            subject=f"query/{request_id}",
        )
        deadline = turn.now + self._ground.timing.query_answer
        queries.add(
            turn.session,
            OwnQuery(
                request_id=request_id,
                peer=contact.agent_id,
                conversation_id=conversation_id,
                message_id=row.message_id,
                query_type=query_type,
                parameters=parameters,
                sent_at=turn.now,
                deadline=deadline,
            ),
        )
        turn.wake("queries", deadline)
        return request_id

    def answered(self, turn: Turn, message: Arrived, content: ResponseContent) -> None:
        """Handles a RESPONSE."""
        own = queries.get(turn.session, content.request_id)
        if own is None:
            return  # it answers nothing that was asked, or is remembered
        error: Mapping[str, Any] | None = message.raw.get("error")
        data: Mapping[str, Any] | None = message.raw.get("data") if error is None else None
        if error is None and own.query_type == QueryType.AVAILABILITY:
            try:
                availability_data(data or {})
            except WireError as fault:
                data = None
                error = {
                    "code": ResponseErrorCode.INTERNAL_ERROR.value,
                    "message": f"The answer cannot be read: {fault.field} {fault.reason}.",
                }
        state = queries.ANSWERED if error is None else queries.REFUSED
        done = queries.answer(
            turn.session,
            content.request_id,
            message.contact.agent_id,
            state,
            turn.now,
            data=data,
            error=error,
        )
        if done:
            turn.tell(QueryAnswered(QueryAnswer(own.request_id, own.peer, own.query_type, data, error)))

    def due(self, turn: Turn) -> None:
        """Gives up on queries of ours that nobody answered in time."""
        for own in queries.overdue(turn.session, turn.now):
            late = partial(self._time_out, own=own, words="No answer came in time.")
            turn.apart(late, f"giving up {own.request_id}")
        if (at := queries.next_deadline(turn.session)) is not None:
            turn.wake("queries", at if at > turn.now else turn.now + MINUTE_MS)

    def undelivered(self, turn: Turn, request_id: str, reason: str) -> None:
        """A QUERY of ours will never arrive."""
        own = queries.get(turn.session, request_id)
        if own is not None and own.state == queries.PENDING:
            words = f"The query was not delivered: {reason or 'it expired'}."
            self._time_out(turn, own, words)

    def _time_out(self, turn: Turn, own: OwnQuery, words: str) -> None:
        error = {"code": "TIMEOUT_ERROR", "message": words}
        if not queries.answer(
            turn.session, own.request_id, own.peer, queries.TIMED_OUT, turn.now, error=error
        ):
            return
        name = self._journal.name(turn, own.peer)
        self._journal.local(
            turn,
            peer=own.peer,
            message_type="ERROR",
            state="EXPIRED",
            summary=f"{name} did not answer your query in time",
            conversation_id=own.conversation_id,
            message_id=own.message_id,
            content={"requestId": own.request_id, "errorCode": "TIMEOUT_ERROR"},
        )
        turn.tell(QueryAnswered(answer_view(replace(own, error=error))))

    def close(self, turn: Turn, contact: Contact) -> None:
        """Ends our queries to a contact that is removed: no later identity under its id may answer them."""
        error = {"code": "TIMEOUT_ERROR", "message": "The contact was removed."}
        for own in queries.close(turn.session, contact.agent_id, turn.now, error):
            turn.tell(QueryAnswered(answer_view(replace(own, error=error))))

    # ------------------------------------------------------------------------------------------- theirs

    def asked(self, turn: Turn, message: Arrived, content: QueryContent) -> None:
        """Handles a QUERY: answers it, asks the person, or waits for a handler."""
        contact = message.contact
        known = queries.peer_query(turn.session, contact.agent_id, content.request_id)
        if known is not None and known.peer_key != contact.identity_key:
            queries.forget_peer_query(turn.session, known)  # of another identity, to whom nothing is owed
        elif known is not None:
            if known.answer and known.state != queries.WAITING:
                self._respond(turn, contact, known, known.answer)
            return
        query = PeerQuery(
            peer=contact.agent_id,
            peer_key=contact.identity_key or b"",
            request_id=content.request_id,
            conversation_id=message.conversation_id,
            message_id=message.message_id,
            query_type=content.query_type.value,
            parameters=content.parameters,
            received_at=message.received_at,
        )
        how = policy.level(turn.session, contact.agent_id, query.query_type)
        if how is not Level.DENY and content.query_type is QueryType.CUSTOM:
            self._custom(turn, contact, query)
            return
        if how is Level.DENY:
            prepared = policy.denied()
        else:
            prepared = policy.answer(
                turn.session, self._ground.calendar, query.query_type, query.parameters, how
            )
        self._settle(turn, contact, query, prepared, ask=how is Level.ASK)

    def _settle(
        self, turn: Turn, contact: Contact, query: PeerQuery, prepared: dict[str, Any], *, ask: bool
    ) -> None:
        """Answers a new query now, or shows the prepared answer to the person and waits."""
        ask = ask or not may_answer_automatically(ContactState(contact.state))
        code = (prepared["error"] or {}).get("code")
        if code == ResponseErrorCode.INVALID_PARAMETERS and may_send(ContactState(contact.state)):
            ask = False  # a malformed question needs no permission to be called so
        answer = {"requestId": query.request_id, **prepared}
        if ask:
            stored = replace(query, answer=answer)
            queries.add_peer_query(turn.session, stored)
            turn.tell(PermissionAsked(query_view(stored)))
            return
        state = queries.DENIED if code == ResponseErrorCode.PERMISSION_DENIED else queries.ANSWERED
        queries.add_peer_query(turn.session, replace(query, state=state, answer=answer, answered_at=turn.now))
        self._respond(turn, contact, query, answer)

    def _respond(self, turn: Turn, contact: Contact, query: PeerQuery, answer: Mapping[str, Any]) -> None:
        if self._delivery.obstacle(answer) is not None:  # a handler's, or a long list's: the peer hears of it
            _log.warning("the answer to a query of %s cannot be sent", query.peer)
            answer = {"requestId": query.request_id, **_FAILED}
        self._delivery.post(
            turn,
            contact,
            query.conversation_id,
            MessageType.RESPONSE,
            answer,
            subject=f"response/{query.request_id}",
        )

    # ------------------------------------------------------------------------------------------- custom

    def _custom(self, turn: Turn, contact: Contact, query: PeerQuery) -> None:
        """A CUSTOM query: its handler runs after this turn, on the loop's thread."""
        try:
            name = custom_name(query.parameters)
        except WireError as fault:
            self._settle(turn, contact, query, policy.invalid(fault), ask=False)
            return
        handler = self.handlers.get(name)
        if handler is None:
            self._settle(turn, contact, query, policy.unavailable(), ask=False)
            return
        queries.add_peer_query(turn.session, replace(query, answer=_NOT_YET))
        turn.then(lambda: self._handle(query, handler))

    def _handle(self, query: PeerQuery, handler: QueryHandler) -> None:
        try:
            data = handler(query.peer, query.parameters)
            prepared = policy.unavailable() if data is None else {"data": dict(data), "error": None}
            if (obstacle := self._delivery.obstacle(prepared)) is not None:
                raise ValueError(obstacle.words)
        except Exception:
            _log.exception("the handler of a CUSTOM query failed")
            prepared = _FAILED
        self._ground.start_turn(
            lambda turn: self._handled(turn, query, prepared), name=f"answer {query.request_id}"
        )

    def _handled(self, turn: Turn, query: PeerQuery, prepared: dict[str, Any]) -> None:
        contact = contacts.get(turn.session, query.peer)
        known = queries.peer_query(turn.session, query.peer, query.request_id)
        if contact is None or known is None or known.state != queries.WAITING or known.answer:
            return
        if known.peer_key != contact.identity_key:
            return
        answer = {"requestId": query.request_id, **prepared}
        how = policy.level(turn.session, query.peer, query.query_type)
        if how is Level.ASK or not may_answer_automatically(ContactState(contact.state)):
            stored = replace(known, answer=answer)
            _prepare(turn, query, answer)
            turn.tell(PermissionAsked(query_view(stored)))
            return
        queries.answer_peer_query(
            turn.session, query.peer, query.request_id, queries.ANSWERED, turn.now, answer
        )
        self._respond(turn, contact, known, answer)

    def recover(self, turn: Turn) -> None:
        """Runs the handlers of CUSTOM queries that a crash left unanswered."""
        for query in queries.waiting_requests(turn.session):
            if query.answer:
                continue
            handler = self.handlers.get(str(query.parameters.get("name")))
            if handler is not None:
                turn.then(lambda query=query, handler=handler: self._handle(query, handler))  # type: ignore[misc]
            else:
                prepared = policy.unavailable()
                turn.apart(
                    partial(self._handled, query=query, prepared=prepared), f"answering {query.request_id}"
                )

    def deny_all(self, turn: Turn, contact: Contact) -> None:
        """Denies in silence all that a contact asked for and that waits for the person."""
        for query in queries.waiting_requests(turn.session):
            if agent_key(query.peer) == agent_key(contact.agent_id):
                state = queries.DENIED
                queries.answer_peer_query(turn.session, query.peer, query.request_id, state, turn.now, {})
                turn.tell(PermissionAsked(query_view(query), closed=True))

    # ------------------------------------------------------------------------------------------- person

    def waiting(self, turn: Turn) -> list[QueryView]:
        """Returns what waits for a person, oldest first."""
        return [query_view(query) for query in queries.waiting_requests(turn.session) if query.answer]

    def decide(self, turn: Turn, request_id: str, *, allow: bool, always: bool) -> None:
        """Sends the answer that was shown, or PERMISSION_DENIED; `always` also sets the contact's policy.

        Args:
            turn: of the transaction.
            request_id: the query's, or `peer/requestId` where several peers used one id.
            allow: whether the answer goes out.
            always: for the contact and type from now on.
        """
        peer, _, bare = request_id.rpartition("/")
        found = [
            query
            for query in queries.find_peer_queries(turn.session, bare)
            if query.state == queries.WAITING and query.answer and (not peer or query.peer == peer)
        ]
        if not found:
            raise NotFound(f"No query {request_id} waits for permission.")
        if len(found) > 1:
            raise BadInput(f"{request_id} is ambiguous: name the peer, as in {found[0].peer}/{bare}.")
        query = found[0]
        contact = contacts.get(turn.session, query.peer)
        if contact is None or contact.identity_key != query.peer_key:
            raise NotFound(
                f"{query.peer} is no contact any more, or has another key than the one that asked."
            )
        answer = query.answer if allow else {"requestId": bare, **policy.denied()}
        state = queries.ANSWERED if allow else queries.DENIED
        queries.answer_peer_query(turn.session, query.peer, bare, state, turn.now, answer)
        if always:
            word = Level.SLOTS if allow else Level.DENY
            policy.set_level(turn.session, query.peer, query.query_type, word)
        self._respond(turn, contact, query, answer or {})
        turn.tell(PermissionAsked(query_view(query), closed=True))
