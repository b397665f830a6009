"""The stages that a message goes through inside one agent, and death by SIGKILL at any of them.

The stages are put round a wired agent from outside, so that the product carries no switch for them and pays
nothing. A stage is named KIND/moment. For what the agent sends: `uncommitted` (written to the database, not
committed), `committed` (durable, nothing sent), `written` (in the kernel's hands). For what it receives:
`received` (decoded, nothing stored), `taken` (stored, not committed), `kept` (durable, nothing told or acknowledged).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from agentnet_desktop.agent.agent import Agent
from agentnet_desktop.agent.ground import Turn
from relay.wire.codec import Decoded
from relay.wire.envelope import Envelope, MessageType
from relay.wire.errors import WireError

T = TypeVar("T")
Element = Decoded | WireError

HANDSHAKES = ("HANDSHAKE", "HANDSHAKE_RESPONSE", "CONFIRMED")
MESSAGES = ("QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION", "DELIVERED")
KINDS = (*HANDSHAKES, *MESSAGES)
OUTGOING = ("uncommitted", "committed", "written")
INCOMING = ("received", "taken", "kept")
STAGES = tuple(
    [f"{kind}/{moment}" for kind in KINDS for moment in (*OUTGOING, *INCOMING)]
    + [f"ROUTED/{moment}" for moment in INCOMING]
)
_TURNS_OF_THE_LOOP = 20  # until what was handed to an idle connection is in the kernel's hands


def kind_of(envelope: Envelope) -> str:
    """Names what an envelope is, so far as its outside tells."""
    if envelope.message_type is MessageType.ENCRYPTED:
        return str(envelope.content["originalType"])
    if envelope.message_type is MessageType.ACK:
        return str(envelope.content["status"])
    if envelope.message_type is MessageType.HANDSHAKE:
        return "HANDSHAKE" if envelope.metadata["requiresResponse"] else "HANDSHAKE_RESPONSE"
    return envelope.message_type.value


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # unbuffered, and from any thread


def _kinds(elements: Iterable[Element]) -> list[str]:
    return [kind_of(element.envelope) for element in elements if isinstance(element, Decoded)]


class Stages:
    """Passes every stage of one agent, and kills this process at the one that is armed."""

    def __init__(self, agent: Agent) -> None:
        """Puts itself round an agent that has not started."""
        self._agent = agent
        self._armed = ""
        self._left = 0
        self._tick, self._name = 0, ""
        self._taken: dict[int, list[str]] = {}
        ground, inbound, client = agent._ground, agent._inbound, agent._client
        self._turn, self._follow, self._batch = ground.turn, ground._follow, inbound.batch
        self._on_frame = client._on_frame  # type: ignore[attr-defined]  # the port hides it, the real client has it
        vars(ground).update(turn=self._run_turn, _follow=self._after_commit)
        vars(inbound).update(batch=self._take)
        vars(client).update(_on_frame=self._frame)

    def arm(self, stage: str, passages: int) -> None:
        """Dies at a stage, after it was passed `passages` times."""
        self._armed, self._left = stage, passages

    def tick(self, passages: int, name: str) -> None:
        """Says `tick NAME` after any stages were passed `passages` times: a moment for somebody else to kill."""
        self._tick, self._name = passages, name

    def _pass(self, kinds: Iterable[str], moment: str) -> None:
        for kind in kinds:
            self._tick -= 1
            if self._tick == 0:
                _say(f"tick {self._name}")
            if f"{kind}/{moment}" == self._armed:
                self._left -= 1
                if self._left < 0:
                    _say(f"dying {self._armed}")
                    os.kill(os.getpid(), signal.SIGKILL)

    async def _run_turn(self, job: Callable[[Turn], T]) -> T:
        def watched(turn: Turn) -> T:
            result = job(turn)
            self._pass(map(kind_of, turn.outgoing), "uncommitted")
            return result

        return await self._turn(watched)

    def _take(self, turn: Turn, elements: Any) -> None:
        self._batch(turn, elements)
        kinds = _kinds(element for element, _ in elements)
        self._taken[id(turn)] = kinds
        self._pass(kinds, "taken")

    def _after_commit(self, turn: Turn) -> None:
        outgoing = [kind_of(envelope) for envelope in turn.outgoing]
        self._pass(self._taken.pop(id(turn), ()), "kept")
        self._pass(outgoing, "committed")
        self._follow(turn)
        if outgoing:
            self._later(_TURNS_OF_THE_LOOP, outgoing)

    def _later(self, turns: int, kinds: list[str]) -> None:
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._later, turns - 1, kinds)
        else:
            self._pass(kinds, "written")

    def _frame(self, elements: list[Element], raw: bytes) -> None:
        self._pass(_kinds(elements), "received")
        self._on_frame(elements, raw)
