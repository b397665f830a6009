"""Records of the store as the frozen views that faces show. Pure, but for what it is given."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agentnet_desktop.agent.events import (
    ContactView,
    Direction,
    LinkView,
    OutboxView,
    ProposalView,
    QueryAnswer,
    QueryView,
    SessionKeysView,
    Slot,
)
from agentnet_desktop.agent.timing import Timing
from agentnet_desktop.crypto.keys import fingerprint
from agentnet_desktop.crypto.safety_number import safety_number
from agentnet_desktop.protocol import times
from agentnet_desktop.store.contacts import Contact, ContactLinkRecord
from agentnet_desktop.store.outbox import OutboxRow
from agentnet_desktop.store.proposals import StoredProposal
from agentnet_desktop.store.queries import OwnQuery, PeerQuery
from agentnet_desktop.store.sessions import StoredSession

_HELD = "KEY_CHANGED"
_WAITS = {
    "": "",
    "NO_SESSION": "Waits for a secure session.",
    "PEER_OFFLINE": "Waits until the recipient is online.",
    _HELD: "Held because the contact's key changed.",
    "NOT_APPROVED": "Held because the contact is not approved.",
    "ATTEMPTS_EXHAUSTED": "No receipt came after twelve attempts.",
    "REFUSED_BY_RELAY": "The relay refused it.",
    "REFUSED_BY_PEER": "The recipient could not read it.",
    "TOO_LARGE": "It is too long to be sent.",
    "UNSENDABLE": "It holds what no message can carry.",
    "CANCELLED": "You cancelled it.",
    "CONTACT_GONE": "The contact was blocked or removed.",
    "CONVERSATION_ENDED": "The conversation was ended.",
}


@lru_cache(maxsize=1024)
def number_of(own_id: str, own_key: bytes, peer_id: str, peer_key: bytes) -> str:
    """Returns a safety number; each costs some milliseconds, so they are kept."""
    return safety_number(own_id, own_key, peer_id, peer_key)


def contact_view(contact: Contact, *, own_id: str, own_key: bytes, online: bool | None = None) -> ContactView:
    """Returns a contact as faces see it; the safety number is of the pinned, else of the offered key."""
    key = contact.identity_key or contact.candidate_key
    return ContactView(
        agent_id=contact.agent_id,
        name=contact.name or contact.agent_id,
        state=contact.state,
        fingerprint=fingerprint(contact.identity_key) if contact.identity_key else "",
        candidate_fingerprint=fingerprint(contact.candidate_key) if contact.candidate_key else "",
        safety_number=number_of(own_id, own_key, contact.agent_id, key) if key else "",
        online=online,
        added_at=contact.added_at,
        last_exchange_at=contact.last_exchange_at,
        candidate_safety_number=number_of(own_id, own_key, contact.agent_id, contact.candidate_key)
        if contact.candidate_key
        else "",
        held=bool(contact.held),
    )


def link_view(record: ContactLinkRecord) -> LinkView:
    """Returns a contact link of ours as faces see it."""
    return LinkView(
        token=base64.urlsafe_b64encode(record.token).rstrip(b"=").decode(),
        link=record.link,
        created_at=record.created_at,
        expires_at=record.expires_at,
        used_by=record.used_by,
        withdrawn=record.withdrawn_at is not None,
    )


def outbox_view(row: OutboxRow) -> OutboxView:
    """Returns a message on its way as faces see it."""
    return OutboxView(
        message_id=row.message_id,
        peer=row.peer,
        conversation_id=row.conversation_id,
        message_type=row.message_type,
        priority=row.priority,
        state=row.state,
        reason=_WAITS.get(row.reason, row.reason),
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        expires_at=row.expires_at,
        held=row.reason == _HELD and row.settled_at is None,
        given_up=row.reason == "CANCELLED",
    )


def keys_view(stored: StoredSession, timing: Timing) -> SessionKeysView:
    """Returns the keys of a live session as faces see them: their age, never the keys."""
    since = stored.confirmed_at or stored.created_at
    return SessionKeysView(
        peer=stored.peer,
        conversation_id=stored.conversation_id,
        since=since,
        messages=stored.message_count,
        rotates_at=since + timing.rotation_age,
        rotates_after=timing.rotation_messages,
    )


def disagreement(start_time: str, time_zone: str, local_start: str) -> str:
    """Returns a sentence when the instant and the wall-clock time meant differ under our own zone rules."""
    here = times.disagreement(start_time, time_zone or None, local_start or None)
    if here is None:
        return ""
    if not here:
        return f"The time zone {time_zone} is not known here; go by the time in your own zone and ask."
    meant, seen = (text.replace("T", " ")[:16] for text in (local_start, here))
    return f"The proposer meant {meant} in {time_zone}, but here that is {seen}: ask which is right."


def _slot(value: Mapping[str, Any]) -> Slot:
    place = value.get("location")
    name = place.get("name", "") if isinstance(place, Mapping) else place
    return Slot(
        times.kept_instant(value["startTime"]),
        times.kept_instant(value["endTime"]),
        str(name or ""),
    )


def slots(proposal: StoredProposal) -> tuple[Slot, ...]:
    """Returns a proposal's slots: the main one, then the alternatives."""
    details = proposal.content["details"]
    return (_slot(details), *(_slot(other) for other in details.get("alternatives") or ()))


def proposal_view(proposal: StoredProposal, contact: Contact | None) -> ProposalView:
    """Returns one revision of a proposal as faces see it."""
    details = proposal.content["details"]
    place = details.get("location")
    place = place if isinstance(place, Mapping) else {"name": place or ""}
    time_zone = str(details.get("timeZone") or "")
    local_start = str(details.get("localStart") or "")
    return ProposalView(
        peer=proposal.peer,
        proposal_id=proposal.proposal_id,
        revision=proposal.revision,
        direction=Direction(proposal.direction),
        state=proposal.state,
        title=str(details.get("title") or ""),
        description=str(details.get("description") or ""),
        start=proposal.start,
        end=proposal.end,
        time_zone=time_zone,
        local_start=local_start,
        location=str(place.get("name") or ""),
        address=str(place.get("address") or ""),
        meeting_type=str(details.get("meetingType") or ""),
        participants=tuple(str(name) for name in details.get("participants") or ()),
        alternatives=slots(proposal)[1:],
        expires_at=proposal.expires_at,
        conversation_id=proposal.conversation_id,
        peer_name=(contact.name if contact else "") or proposal.peer,
        peer_state=contact.state if contact else "UNKNOWN",
        chosen_alternative=proposal.chosen_alternative,
        reason=proposal.reason,
        note=proposal.note,
        time_disagreement=disagreement(str(details["startTime"]), time_zone, local_start),
        message_id=proposal.message_id,
        received_at=proposal.created_at,
    )


def query_view(query: PeerQuery) -> QueryView:
    """Returns a peer's query that waits for a person."""
    return QueryView(
        request_id=query.request_id,
        peer=query.peer,
        query_type=query.query_type,
        parameters=query.parameters,
        answer=query.answer or {},
        received_at=query.received_at,
        conversation_id=query.conversation_id,
    )


def answer_view(query: OwnQuery) -> QueryAnswer:
    """Returns the outcome of a query of ours."""
    return QueryAnswer(query.request_id, query.peer, query.query_type, query.data, query.error)
