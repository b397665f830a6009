"""One human sentence for each entry of the log. Pure.

The sentence says who did what, from this agent's side, in words that need no knowledge of the protocol.
What a peer wrote is quoted and cut; faces make hidden characters in it visible. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from agentnet_desktop.agent.events import Direction
from relay.wire.envelope import MessageType

_LONGEST_QUOTE = 60

_REASON = {
    "SCHEDULE_CONFLICT": "there is something else at that time",
    "LOCATION_UNSUITABLE": "the place does not suit",
    "TIME_UNSUITABLE": "the time does not suit",
    "USER_DECLINED": "no",
    "OTHER": "",
}


def quote(text: object) -> str:
    """Returns a peer's or person's words in quotes, cut to a length that fits a line."""
    words = " ".join(str(text).split())
    if len(words) > _LONGEST_QUOTE:
        words = words[: _LONGEST_QUOTE - 1] + "…"
    return f"“{words}”"


def _when(text: object) -> str:
    """Returns a start time as a person writes it, with its own offset; the text itself if unreadable."""
    try:
        start = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    zone = start.strftime("%z")
    zone = "UTC" if zone in ("+0000", "") else f"UTC{zone[:3]}:{zone[3:]}"
    return f"{start:%a} {start.day} {start:%b} {start.year}, {start:%H:%M} {zone}"


def _query(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    kind = content.get("queryType")
    if kind == "AVAILABILITY":
        return f"You asked {peer} when they are free" if me else f"{peer} asked when you are free"
    if kind == "LOCATION_PREFERENCE":
        return f"You asked {peer} where they like to meet" if me else f"{peer} asked where you like to meet"
    if kind == "MEETING_TYPE_PREFERENCE":
        words = "what kind of meeting"
        return f"You asked {peer} {words} they prefer" if me else f"{peer} asked {words} you prefer"
    parameters = content.get("parameters")
    name = parameters.get("name", "") if isinstance(parameters, Mapping) else ""
    return f"You asked {peer} {quote(name)}" if me else f"{peer} asked {quote(name)}"


def _response(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    error = content.get("error")
    if isinstance(error, Mapping):
        denied = error.get("code") == "PERMISSION_DENIED"
        if me:
            return f"You declined to answer {peer}" if denied else f"You could not answer {peer}"
        return f"{peer} declined to answer" if denied else f"{peer} could not answer"
    data = content.get("data")
    slots = data.get("slots") if isinstance(data, Mapping) else None
    if isinstance(slots, list):
        what = "1 free time" if len(slots) == 1 else f"{len(slots)} free times"
        return f"You told {peer} {what}" if me else f"{peer} told {what}"
    return f"You answered {peer}" if me else f"{peer} answered"


def _proposal(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    details = content.get("details")
    details = details if isinstance(details, Mapping) else {}
    what = f"{quote(details.get('title', ''))} for {_when(details.get('startTime', ''))}"
    if details.get("status") == "MODIFIED":
        return (
            f"You suggested another time to {peer}: {what}"
            if me
            else f"{peer} suggested another time: {what}"
        )
    return f"You proposed {what} to {peer}" if me else f"{peer} proposed {what}"


def _rejection(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    reason = str(content.get("reason", ""))
    why = _REASON.get(reason, "")
    details = content.get("details")
    if isinstance(details, str) and details:
        why = quote(details)
    if reason == "OTHER":
        head = f"You withdrew the meeting with {peer}" if me else f"{peer} withdrew the meeting"
    else:
        head = f"You declined {peer}'s proposal" if me else f"{peer} declined"
    return f"{head}: {why}" if why and why != "no" else head


def _handshake(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    if content.get("peerHash") is None:
        return f"You asked {peer} for a secure session" if me else f"{peer} asks for a secure session"
    return f"You agreed to a secure session with {peer}" if me else f"{peer} agreed to a secure session"


def _confirmation(me: bool, peer: str, _: Mapping[str, Any]) -> str:
    return f"You accepted {peer}'s proposal" if me else f"{peer} accepted"


def _end(me: bool, peer: str, _: Mapping[str, Any]) -> str:
    return f"You ended the conversation with {peer}" if me else f"{peer} ended the conversation"


def _error(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    words = quote(content.get("message", ""))
    return f"You told {peer} of a problem: {words}" if me else f"{peer} reported a problem: {words}"


def _other(me: bool, peer: str, _: Mapping[str, Any]) -> str:
    return f"You sent {peer} a message" if me else f"{peer} sent a message"


def _receipt(me: bool, peer: str, content: Mapping[str, Any]) -> str:
    if content.get("status") == "CONFIRMED":
        return f"You confirmed the session with {peer}" if me else f"{peer} confirmed the session"
    return f"You acknowledged a message of {peer}" if me else f"{peer} has stored your message"


_SENTENCES: Mapping[str, Callable[[bool, str, Mapping[str, Any]], str]] = {
    MessageType.QUERY: _query,
    MessageType.RESPONSE: _response,
    MessageType.PROPOSAL: _proposal,
    MessageType.CONFIRMATION: _confirmation,
    MessageType.REJECTION: _rejection,
    MessageType.DISCONNECT: _end,
    MessageType.ERROR: _error,
    MessageType.HANDSHAKE: _handshake,
    MessageType.ACK: _receipt,
}


def inner(direction: Direction, peer: str, message_type: str, content: Mapping[str, Any]) -> str:
    """Returns the sentence of a message between agents.

    Args:
        direction: IN or OUT.
        peer: the contact's name, or its agentId.
        message_type: of the inner message where it travels sealed.
        content: in JSON form; need not be valid.
    """
    return _SENTENCES.get(message_type, _other)(direction is Direction.OUT, peer, content)


def relay(direction: Direction, message_type: str, content: Mapping[str, Any]) -> str:
    """Returns the sentence of a message from or to the relay."""
    me = direction is Direction.OUT
    match message_type:
        case MessageType.CONNECTED:
            return f"Connected to the relay {quote(content.get('relayName', ''))}"
        case MessageType.ACK:
            if content.get("status") == "CLOSED":
                return "The relay said goodbye"
            return "The relay passed your message on"
        case MessageType.PRESENCE:
            if "watch" in content:
                return f"You told the relay whom to announce: {len(content['watch'])}"
            state = "online" if content.get("status") == "ONLINE" else "offline"
            return f"{content.get('agentId', '')} is {state}"
        case MessageType.HEARTBEAT:
            return "You sent a heartbeat" if me else "The relay echoed a heartbeat"
        case MessageType.ERROR:
            return f"The relay reported a problem: {quote(content.get('message', ''))}"
        case MessageType.AUTH:
            return "You proved who you are to the relay"
        case MessageType.DISCONNECT:
            return "You said goodbye to the relay"
        case _:
            return "A message to the relay" if me else "A message from the relay"
