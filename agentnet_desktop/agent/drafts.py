"""What a person hands in: the draft of a meeting proposal. Data only; `negotiation` checks and sends it."""

from __future__ import annotations

from dataclasses import dataclass

from agentnet_desktop.agent.events import Slot


@dataclass(frozen=True, slots=True)
class ProposalDraft:
    """A meeting as a person proposes it.

    Attributes:
        title: what it is about.
        start: RFC 3339 with an offset.
        end: RFC 3339 with an offset, after `start`.
        time_zone: IANA zone in which the start is meant; None: the person's own.
        description: more words; may be empty.
        location: name of the place; may be empty.
        address: of the place; may be empty.
        meeting_type: the protocol document's word, such as COFFEE; OTHER when it does not matter.
        expires_at: milliseconds since the epoch after which no answer counts; None: seven days from now.
        alternatives: up to four further slots that also suit.
    """

    title: str
    start: str
    end: str
    time_zone: str | None = None
    description: str = ""
    location: str = ""
    address: str = ""
    meeting_type: str = "OTHER"
    expires_at: int | None = None
    alternatives: tuple[Slot, ...] = ()
