"""A conversation as a sequence: who sent what to whom, how far it came, and the same as Mermaid or SVG text.

Pure: rows of the log in, steps and text out. Nothing of it is painted here, and words of peers are made safe by
`text.peer_text` before they go anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from xml.sax.saxutils import escape

from agentnet_desktop.agent.events import Direction, LogRow
from agentnet_desktop.ui import text

ME, RELAY, FIRST_PEER = 0, 1, 2
LABEL_LIMIT = 80
_LANE, _ROW, _HEAD, _SIDE = 240, 46, 40, 110


class Reach(Enum):
    """How far a message came, as far as this agent knows."""

    NOTE = "note"  # nothing was sent: it happened here
    WAITS = "waits"  # not on its way
    RELAY = "relay"  # handed to the relay, and no word of the peer yet
    WHOLE = "whole"  # at its recipient
    LOST = "lost"  # given up, refused or expired


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the log between two lanes. `start` and `end` are numbers of lanes; equal for a note."""

    seq: int
    time: int
    start: int
    end: int
    reach: Reach
    kind: str
    words: str
    encrypted: bool
    state: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """The names of the lanes, this agent's and the relay's first, and the steps in their order."""

    lanes: tuple[str, ...]
    steps: tuple[Step, ...]


def diagram(rows: Sequence[LogRow], *, name_of: Callable[[str], str], me: str, relay: str) -> Diagram:
    """Lay out the rows of one conversation.

    Args:
        rows: In the log's order.
        name_of: Gives the shown name of a peer.
        me: What this agent's lane is called.
        relay: What the relay's lane is called.
    """
    peers: list[str] = []
    for row in rows:
        if row.peer not in ("", "system") and row.peer.lower() not in peers:
            peers.append(row.peer.lower())
    steps = tuple(_step(row, peers) for row in rows)
    return Diagram((me, relay, *(name_of(peer) for peer in peers)), steps)


def _step(row: LogRow, peers: Sequence[str]) -> Step:
    known = row.peer.lower() in peers
    other = FIRST_PEER + peers.index(row.peer.lower()) if known else RELAY
    start, end = {Direction.IN: (other, ME), Direction.OUT: (ME, other), Direction.LOCAL: (ME, ME)}[
        row.direction
    ]
    return Step(
        seq=row.seq,
        time=row.time,
        start=start,
        end=end,
        reach=_reach(row),
        kind=text.peer_text(row.message_type, 24),
        words=text.peer_text(row.summary, LABEL_LIMIT),
        encrypted=row.encrypted,
        state=row.state,
    )


def _reach(row: LogRow) -> Reach:
    if row.direction is Direction.LOCAL:
        return Reach.NOTE
    if row.direction is Direction.IN:
        return Reach.LOST if row.state == "REFUSED" else Reach.WHOLE
    known = {
        "QUEUED": Reach.WAITS,
        "IN_FLIGHT": Reach.RELAY,
        "ROUTED": Reach.RELAY,
        "FAILED": Reach.LOST,
        "EXPIRED": Reach.LOST,
        "REFUSED": Reach.LOST,
    }
    return known.get(row.state, Reach.WHOLE)


# ------------------------------------------------------------------------------------------- Mermaid


def mermaid(shown: Diagram) -> str:
    """Write a diagram as Mermaid's `sequenceDiagram`; nothing in it can be read as a command."""
    names = [f"L{number}" for number in range(len(shown.lanes))]
    lines = ["sequenceDiagram"]
    lines += [
        f"    participant {name} as {_quoted(lane)}" for name, lane in zip(names, shown.lanes, strict=True)
    ]
    for step in shown.steps:
        words = _quoted(f"{step.kind}: {step.words}")
        if step.start == step.end:
            lines.append(f"    Note over {names[step.start]}: {words}")
        else:
            lines.append(f"    {names[step.start]}{_ARROWS[step.reach]}{names[step.end]}: {words}")
    return "\n".join(lines) + "\n"


_ARROWS = {
    Reach.WHOLE: "->>",
    Reach.RELAY: "-->>",
    Reach.WAITS: "-->>",
    Reach.LOST: "-x",
    Reach.NOTE: "->>",
}


def _quoted(words: str) -> str:
    """Write what Mermaid would read as its own by number, as it asks for."""
    return "".join(f"#{ord(letter)};" if letter in "#;:<>&\"'%{}[]" else letter for letter in words)


# ------------------------------------------------------------------------------------------- SVG


def svg(shown: Diagram) -> str:
    """Write a diagram as a picture of its own: black on white, no script, no link, no font of others."""
    width = _SIDE + _LANE * len(shown.lanes)
    height = _HEAD + _ROW * len(shown.steps) + _SIDE // 4
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    parts = [f'{head} font-family="sans-serif" font-size="12">', ground]
    for number, lane in enumerate(shown.lanes):
        x = _x(number)
        parts.append(_words(x, 22, lane, weight="bold"))
        parts.append(_line(x, _HEAD - 8, x, height, "#bbb", dashed=True))
    for number, step in enumerate(shown.steps):
        parts += _drawn(step, _HEAD + _ROW * number + 28)
    return "".join(parts) + "</svg>\n"


def _drawn(step: Step, y: int) -> list[str]:
    when = text.precise_time(text.at(step.time))
    parts = [_words(_SIDE // 2, y, when, fill="#666")]
    start, end = _x(step.start), _x(step.end)
    words = f"{step.kind}: {step.words}"
    if start == end:
        return [*parts, _words(start, y, words, fill="#444")]
    middle, way = (start + end) // 2, 1 if end > start else -1
    parts.append(_words(middle, y - 6, words))
    parts.append(_line(start, y, end, y, "#333", dashed=step.reach in (Reach.WAITS, Reach.RELAY)))
    if step.reach is Reach.LOST:
        parts.append(_line(end - 10 * way, y - 5, end, y + 5, "#a00"))
        parts.append(_line(end - 10 * way, y + 5, end, y - 5, "#a00"))
    else:
        tip = f"{end},{y} {end - 9 * way},{y - 4} {end - 9 * way},{y + 4}"
        parts.append(f'<polygon points="{tip}" fill="#333"/>')
    return parts


def _x(lane: int) -> int:
    return _SIDE + _LANE * lane + _LANE // 2


def _words(x: int, y: int, words: str, *, fill: str = "#111", weight: str = "normal") -> str:
    shown = f'<text x="{x}" y="{y}" text-anchor="middle" fill="{fill}" font-weight="{weight}">'
    return f"{shown}{escape(words)}</text>"


def _line(x: int, y: int, to_x: int, to_y: int, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{colour}"{dash}/>'
