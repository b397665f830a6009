"""How states are shown: for each a tone, an icon and a word, so that nothing is told by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import Tone


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands for one state."""

    word: str
    icon: str
    tone: Tone
    meaning: str = ""


def contact_mark(state: str) -> Mark:
    """Give the trust badge of a contact's state; an unknown word is shown as it is."""
    marks = {
        "VERIFIED": Mark(
            tr("Verified"),
            "shield-check",
            Tone.GOOD,
            tr("This key is theirs: you compared it with them, or it came with their own link."),
        ),
        "APPROVED": Mark(
            tr("Approved"),
            "check",
            Tone.ACCENT,
            tr("You approved this contact; the keys are not yet compared."),
        ),
        "PENDING": Mark(tr("Asks for contact"), "clock", Tone.WARN, tr("Waits for your decision.")),
        "KEY_CHANGED": Mark(
            tr("Key changed"),
            "shield-alert",
            Tone.BAD,
            tr("Another key speaks for this contact. Nothing is sent."),
        ),
        "BLOCKED": Mark(
            tr("Blocked"), "ban", Tone.NEUTRAL, tr("Nothing from this agent is shown or answered.")
        ),
        "UNKNOWN": Mark(tr("Unknown"), "question", Tone.NEUTRAL, tr("Not among your contacts.")),
    }
    return marks.get(state, Mark(state, "question", Tone.NEUTRAL))


def proposal_mark(state: str) -> Mark:
    """Give the mark of a proposal's state."""
    marks = {
        "PENDING": Mark(tr("Waiting"), "clock", Tone.WARN),
        "ACCEPTED": Mark(tr("Accepted"), "check-circle", Tone.GOOD),
        "REJECTED": Mark(tr("Declined"), "fail", Tone.NEUTRAL),
        "EXPIRED": Mark(tr("Expired"), "hourglass", Tone.NEUTRAL),
        "MODIFIED": Mark(tr("Changed"), "edit", Tone.ACCENT),
    }
    return marks.get(state, Mark(state, "question", Tone.NEUTRAL))


def delivery_mark(state: str) -> Mark:
    """Give the mark of a log row's state."""
    marks = {
        "QUEUED": Mark(tr("queued"), "clock", Tone.WARN),
        "IN_FLIGHT": Mark(tr("sending"), "send", Tone.ACCENT),
        "ROUTED": Mark(tr("routed"), "arrow-out", Tone.ACCENT),
        "DELIVERED": Mark(tr("delivered"), "check", Tone.GOOD),
        "SENT": Mark(tr("sent"), "check", Tone.NEUTRAL),
        "RECEIVED": Mark(tr("received"), "check", Tone.NEUTRAL),
        "EXPIRED": Mark(tr("expired"), "hourglass", Tone.WARN),
        "FAILED": Mark(tr("failed"), "fail", Tone.BAD),
        "REFUSED": Mark(tr("refused"), "ban", Tone.BAD),
        "LOCAL": Mark(tr("local"), "local", Tone.NEUTRAL),
    }
    return marks.get(state, Mark(state.lower().replace("_", " "), "local", Tone.NEUTRAL))


def type_tone(message_type: str) -> Tone:
    """Give the tone of a message type's chip."""
    tones = {
        "PROPOSAL": Tone.ACCENT,
        "QUERY": Tone.ACCENT,
        "RESPONSE": Tone.ACCENT,
        "CONFIRMATION": Tone.GOOD,
        "REJECTION": Tone.WARN,
        "ERROR": Tone.BAD,
        "SECURITY": Tone.BAD,
    }
    return tones.get(message_type, Tone.NEUTRAL)


def rejection_reasons() -> list[tuple[str, str]]:
    """List the protocol's reasons for a REJECTION with their words, the usual one first."""
    return [
        ("USER_DECLINED", tr("I would rather not")),
        ("SCHEDULE_CONFLICT", tr("I have something else then")),
        ("TIME_UNSUITABLE", tr("The time does not suit me")),
        ("LOCATION_UNSUITABLE", tr("The place does not suit me")),
        ("OTHER", tr("Another reason (say which)")),
    ]


def reason_words(reason: str) -> str:
    """Give the words for a reason that came in."""
    return dict(rejection_reasons()).get(reason, reason)
