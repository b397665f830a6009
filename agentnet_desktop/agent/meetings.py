"""From a person's draft to the content of a PROPOSAL, and from a command's words to a stored revision.

Pure, but for look-ups in the turn's transaction.

Implements docs/protocol.md, *PROPOSAL*: RFC 3339 times with an offset, the zone and wall-clock start meant,
alternatives, expiry. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from agentnet_desktop.agent.drafts import ProposalDraft
from agentnet_desktop.agent.errors import BadInput, NotFound
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.protocol import times
from agentnet_desktop.protocol.content import (
    Alternative,
    Location,
    ProposalContent,
    ProposalDetails,
    build_content,
    parse_content,
)
from agentnet_desktop.protocol.proposal import ProposalState
from agentnet_desktop.store import proposals
from agentnet_desktop.store.proposals import StoredProposal
from relay.wire.envelope import MessageType
from relay.wire.errors import WireError

_FIELDS = {
    "content.details.startTime": "The start",
    "content.details.endTime": "The end",
    "content.details.timeZone": "The time zone",
    "content.details.title": "The title",
}


def _bad(error: WireError) -> BadInput:
    return BadInput(f"{_FIELDS.get(error.field, error.field)} {error.reason}.")


def _local_start(start: str, zone_name: str) -> str:
    zone = times.find_zone(zone_name)
    if zone is None:
        raise BadInput(f"The time zone {zone_name} is not known.")
    return times.wall_time(times.parse_instant(start, "content.details.startTime"), zone)


def first_content(
    draft: ProposalDraft, *, proposal_id: str, participants: Sequence[str], zone: str, now: int
) -> dict[str, Any]:
    """Returns the content of revision 1.

    Args:
        draft: what the person wants.
        proposal_id: a fresh one.
        participants: agentIds, the organiser first.
        zone: the person's own, where the draft names none.
        now: milliseconds since the epoch.

    Raises:
        BadInput: the draft is malformed; it names the part.
    """
    zone_name = draft.time_zone or zone
    try:
        start = times.parse_instant(draft.start, "content.details.startTime")
        place = Location(name=draft.location, address=draft.address or None) if draft.location else None
        details = ProposalDetails(
            title=draft.title,
            start_time=draft.start,
            end_time=draft.end,
            status=ProposalState.PENDING,
            description=draft.description or None,
            time_zone=zone_name,
            local_start=_local_start(draft.start, zone_name),
            location=place,
            meeting_type=draft.meeting_type or None,
            participants=tuple(participants),
            alternatives=tuple(
                Alternative(
                    start_time=times.format_instant(slot.start),
                    end_time=times.format_instant(slot.end),
                    location=Location(name=slot.location) if slot.location else None,
                )
                for slot in draft.alternatives
            ),
            expires_at=draft.expires_at if draft.expires_at is not None else now + 7 * DAY_MS,
        )
        content = build_content(ProposalContent(proposal_id=proposal_id, details=details))
    except WireError as error:
        raise _bad(error) from None
    if start <= now:
        raise BadInput("The start is in the past.")
    if details.expires_at is not None and details.expires_at <= now:
        raise BadInput("The time to answer is in the past.")
    return content


def counter_content(
    stored: StoredProposal, *, start: str, end: str, location: str | None, zone: str, now: int
) -> dict[str, Any]:
    """Returns the content of the revision that follows `stored`, at another time.

    Raises:
        BadInput: a time is malformed.
    """
    details: dict[str, Any] = dict(stored.content["details"])
    zone_name = str(details.get("timeZone") or zone)
    if times.find_zone(zone_name) is None:
        zone_name = zone
    details.pop("alternatives", None)
    try:
        details |= {
            "startTime": start,
            "endTime": end,
            "timeZone": zone_name,
            "localStart": _local_start(start, zone_name),
            "status": ProposalState.MODIFIED.value,
            "revision": stored.revision + 1,
            "expiresAt": now + 7 * DAY_MS,
        }
        if location is not None:
            details["location"] = {"name": location}
        return _checked({"proposalId": stored.proposal_id, "details": details})
    except WireError as error:
        raise _bad(error) from None


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    parse_content(MessageType.PROPOSAL, content)
    return dict(content)


def find(session: Session, ref: str) -> StoredProposal:
    """Returns the revision that a person's words name.

    Args:
        session: of the job.
        ref: `peer/proposalId/revision`, `peer/proposalId` (the newest), or a proposalId with one peer.

    Raises:
        NotFound: there is none.
        BadInput: a bare proposalId names proposals with several peers.
    """
    parts = ref.split("/")
    if len(parts) == 3 and parts[2].isdecimal():
        found = proposals.get(session, parts[0], parts[1], int(parts[2]))
    elif len(parts) == 2:
        found = proposals.latest(session, parts[0], parts[1])
    else:
        everyone = proposals.revisions(session, ref)
        peers = sorted({proposal.peer for proposal in everyone})
        if len(peers) > 1:
            raise BadInput(f"{ref} went to several people: name one, as in {peers[0]}/{ref}.")
        found = everyone[-1] if everyone else None
    if found is None:
        raise NotFound(f"There is no proposal {ref}.")
    return found
