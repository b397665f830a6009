"""Fixtures of the end-to-end tests: a relay behind a listening tee, and two people at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.people import Person, acquaint, new_person
from tests.end_to_end.tee import Tee
from tests.processes import RelayProcess


@pytest.fixture
async def tee() -> AsyncIterator[Tee]:
    """A listener between the agents and the relay; the relay's public address is the tee's."""
    listener = Tee()
    await listener.start()
    yield listener
    await listener.stop()


@pytest.fixture
def relay(tee: Tee, tmp_path: Path) -> Iterator[RelayProcess]:
    """A real relay process that all agents reach through the tee."""
    process = RelayProcess(tmp_path / "relay", extra=("--public-url", f"ws://127.0.0.1:{tee.port}"))
    process.start()
    tee.target = process.port
    yield process
    process.stop()


@pytest.fixture
async def alice(relay: RelayProcess, tmp_path: Path) -> AsyncIterator[Person]:
    """Alice, connected with the invite that the relay printed at its first start."""
    async with new_person(tmp_path / "alice", "alice", relay.invite_link) as opened:
        await opened.connected()
        yield opened


@pytest.fixture
async def bob(relay: RelayProcess, tmp_path: Path) -> AsyncIterator[Person]:
    """Bob, connected with an invite of his own."""
    async with new_person(tmp_path / "bob", "bob", relay.invite("--agent-id", "bob")) as opened:
        await opened.connected()
        yield opened


@pytest.fixture
async def friends(alice: Person, bob: Person) -> tuple[Person, Person]:
    """Alice and Bob with a session between them."""
    await acquaint(alice, bob)
    return alice, bob
