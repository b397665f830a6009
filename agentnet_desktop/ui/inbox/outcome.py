"""What is said of a proposal that no longer waits for this person."""

from __future__ import annotations

from agentnet_desktop.agent.events import WITHDRAWN, Direction, ProposalView
from agentnet_desktop.ui import text, trust
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import Tone


def outcome_words(view: ProposalView, peer: str, *, by_me: str = "") -> tuple[str, Tone]:
    """Say where a proposal stands, or "" when it waits for the person here.

    Args:
        view: The proposal.
        peer: The shown name of the other side.
        by_me: What this person did with it just now: `declined`, `cancelled` or nothing.

    Returns:
        A sentence and its tone.
    """
    incoming = view.direction is Direction.IN
    match view.state:
        case "PENDING" if view.note and not incoming:
            return tr("{0} has not got it: try again or give it up, in the inbox.").format(peer), Tone.WARN
        case "PENDING":
            return (
                ("", Tone.NEUTRAL)
                if incoming
                else (tr("Waiting for {0} to answer.").format(peer), Tone.ACCENT)
            )
        case "ACCEPTED":
            words = tr("You accepted. {0} is told.") if incoming else tr("{0} accepted.")
            return words.format(peer), Tone.GOOD
        case "REJECTED":
            return _rejection(view, peer, by_me), Tone.NEUTRAL if by_me else Tone.WARN
        case "EXPIRED":
            return tr("The time to answer is over; nothing was agreed."), Tone.WARN
        case "MODIFIED":
            return tr("Another time was suggested in its place."), Tone.ACCENT
        case _:
            return view.state, Tone.NEUTRAL


def _rejection(view: ProposalView, peer: str, by_me: str) -> str:
    note = text.peer_text(view.note)
    if by_me == "declined":
        return tr("You declined. {0} is told.").format(peer)
    if by_me == "cancelled":
        return tr("You took it back. {0} is told.").format(peer)
    if view.note == WITHDRAWN:
        return tr("It was taken back before it was delivered.")
    reason = trust.reason_words(view.reason)
    if view.reason == "OTHER" or not reason:
        said = (
            tr("This was called off.") if view.direction is Direction.IN else tr("{0} declined.").format(peer)
        )
        return f"{said} {note}".strip()
    said = tr("Declined: {0}.").format(text.peer_text(reason))
    return f"{said} {note}".strip()
