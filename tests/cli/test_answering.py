"""The rule of a run: whom it answers, and whom never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.events import (
    ContactChanged,
    ContactView,
    Direction,
    ProposalChanged,
    ProposalView,
)
from agentnet_desktop.cli.answering import Answering, Terminal


def proposal(peer_state: str = "APPROVED", **changes: Any) -> ProposalView:
    given: dict[str, Any] = {
        "peer": "bob", "proposal_id": "prop_1", "revision": 1, "direction": Direction.IN, "state": "PENDING",
        "title": "Coffee\x1b[2J", "description": "", "start": 0, "end": 60_000, "time_zone": "UTC", "local_start": "",
        "location": "", "address": "", "meeting_type": "", "participants": (), "alternatives": (),
        "expires_at": None, "conversation_id": "c", "peer_state": peer_state,
    }  # fmt: skip
    return ProposalView(**(given | changes))


class Fake:
    """An agent that notes what it is told to do."""

    def __init__(self, waiting: list[ProposalView] | None = None) -> None:
        self.done: asyncio.Queue[str] = asyncio.Queue()
        self.waiting = waiting or []
        self.error: NotAllowed | None = None

    async def contacts(self) -> list[ContactView]:
        return [ContactView("carol", "Carol", "PENDING"), ContactView("bob", "Bob", "APPROVED")]

    async def proposals(self, *, open_only: bool) -> list[ProposalView]:
        return self.waiting

    async def accept(self, ref: str) -> None:
        if self.error is not None:
            raise self.error
        self.done.put_nowait(f"accept {ref}")

    async def decline(self, ref: str) -> None:
        self.done.put_nowait(f"decline {ref}")

    async def approve_contact(self, agent_id: str) -> None:
        self.done.put_nowait(f"approve {agent_id}")


class Typed(Terminal):
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


async def worked(agent: Fake, use: Callable[[Answering], Any], **options: Any) -> tuple[list[str], list[str]]:
    """Lets the rule work until it has nothing more to do; returns what was done and what was said."""
    said: list[str] = []
    given: dict[str, Any] = {"rule": "ask", "terminal": None, "approve_contacts": False, "warn": said.append}
    answering = Answering(agent, **(given | options))  # type: ignore[arg-type]  # a stand-in with the same commands
    task = asyncio.ensure_future(answering.work())
    result = use(answering)
    if result is not None:
        await result
    for _ in range(20):  # turns of the loop: nothing here waits for the outside
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return [agent.done.get_nowait() for _ in range(agent.done.qsize())], said


def arrives(view: ProposalView) -> Callable[[Answering], None]:
    return lambda answering: answering.hear(ProposalChanged(view, arrived=True))


@pytest.mark.parametrize("state", ["APPROVED", "VERIFIED"])
async def test_a_rule_answers_trusted_contacts(state: str) -> None:
    for rule in ("accept", "decline"):
        done, said = await worked(Fake(), arrives(proposal(state)), rule=rule)
        assert (done, said) == ([f"{rule} bob/prop_1/1"], [])


@pytest.mark.parametrize("state", ["KEY_CHANGED", "PENDING", "UNKNOWN", "BLOCKED", ""])
@pytest.mark.parametrize("rule", ["accept", "decline"])
async def test_a_rule_never_answers_a_changed_key_or_a_stranger(rule: str, state: str) -> None:
    done, said = await worked(Fake(), arrives(proposal(state)), rule=rule)
    assert done == []
    assert len(said) == 1


async def test_without_a_rule_and_a_terminal_everything_stays_pending() -> None:
    assert await worked(Fake(), arrives(proposal())) == ([], [])


async def test_only_what_waits_for_this_side_is_answered_and_once() -> None:
    def use(answering: Answering) -> None:
        answering.hear(ProposalChanged(proposal(direction=Direction.OUT), arrived=True))
        answering.hear(ProposalChanged(proposal(state="ACCEPTED"), arrived=True))
        answering.hear(ProposalChanged(proposal(), arrived=False))

    assert await worked(Fake(), use, rule="accept") == ([], [])


async def test_what_waits_from_earlier_is_taken_up_oldest_first() -> None:
    agent = Fake([proposal(proposal_id="prop_2"), proposal(proposal_id="prop_1")])
    done, _ = await worked(agent, Answering.begin, rule="accept", approve_contacts=True)
    assert done == ["approve carol", "accept bob/prop_1/1", "accept bob/prop_2/1"]


async def test_contacts_are_approved_only_when_the_run_says_so() -> None:
    change = ContactChanged(ContactView("carol", "Carol", "PENDING"))
    assert (await worked(Fake(), lambda answering: answering.hear(change)))[0] == []
    done, _ = await worked(Fake(), lambda answering: answering.hear(change), approve_contacts=True)
    assert done == ["approve carol"]


async def test_an_answer_that_is_not_possible_is_told_and_the_next_goes_on() -> None:
    agent = Fake()
    agent.error = NotAllowed("It was withdrawn.")
    done, said = await worked(agent, arrives(proposal()), rule="accept")
    assert (done, said) == ([], ["agentnet run: It was withdrawn."])


@pytest.mark.parametrize(
    ("typed", "done"),
    [("a", ["accept bob/prop_1/1"]), ("decline", ["decline bob/prop_1/1"]), ("", []), ("x", [])],
)
async def test_a_person_at_the_terminal_decides(typed: str, done: list[str]) -> None:
    terminal = Typed(typed)
    found, said = await worked(Fake(), arrives(proposal("KEY_CHANGED")), terminal=terminal)
    assert found == done
    assert len(said) == (0 if done else 1)
    assert "bob (KEY_CHANGED) proposes: Coffee␛[2J" in terminal.asked[0]
    assert "\x1b" not in terminal.asked[0]
