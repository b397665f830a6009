"""The client against the real relay, as its own process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.protocol.contact_link import parse_invite_link
from agentnet_desktop.transport.endpoint import parse_endpoint
from agentnet_desktop.transport.signals import State
from agentnet_desktop.transport.tokens import LocalTokens
from relay.wire.codec import Decoded
from relay.wire.envelope import MessageType
from tests.processes import RelayProcess
from tests.transport.small_relay import Desk, envelope


def local_tokens(relay: RelayProcess, agent_id: str, key: IdentityKey, **options: Any) -> LocalTokens:
    origin = parse_endpoint(relay.url).origin
    return LocalTokens(key, agent_id=agent_id, audience=origin, random=os.urandom, **options)


@asynccontextmanager
async def connected(relay: RelayProcess, tokens: LocalTokens) -> AsyncIterator[Desk]:
    desk = Desk(relay.url)
    desk.client._tokens = tokens
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(desk.client.run())
        try:
            yield desk
        finally:
            await desk.client.stop()


def invite(relay: RelayProcess) -> str:
    return parse_invite_link(relay.invite_link).invite


async def test_an_agent_enrols_with_its_invite_and_comes_back_without(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    told: list[bool] = []
    enrolling = local_tokens(
        relay_process,
        "alice",
        key,
        enrolled=False,
        invite=invite(relay_process),
        on_enrolled=lambda: told.append(True),
    )
    async with connected(relay_process, enrolling) as alice:
        status = await alice.reaches(State.CONNECTED)
        assert abs(status.clock_skew_ms or 0) < 5_000
        assert told == [True]
        await alice.until(lambda: alice.client.status.round_trip_ms is not None)
    async with connected(relay_process, local_tokens(relay_process, "alice", key)) as alice:
        await alice.reaches(State.CONNECTED)
    assert alice.client.status.state is State.OFFLINE


async def test_a_stranger_is_refused_and_told_what_to_do(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    async with connected(relay_process, local_tokens(relay_process, "mallory", key)) as mallory:
        status = await mallory.reaches(State.WAITING)
        assert status.kind == "AUTHENTICATION_FAILED"


async def test_a_message_to_nobody_comes_back_as_an_error_of_the_relay(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    tokens = local_tokens(relay_process, "alice", key, enrolled=False, invite=invite(relay_process))
    async with connected(relay_process, tokens) as alice:
        await alice.reaches(State.CONNECTED)
        content = {"messageId": "m", "status": "CONFIRMED", "tag": "A" * 43 + "="}
        lost = envelope(MessageType.ACK, content, sender="alice", at="nobody")
        assert alice.client.send([lost])
        await alice.client.stop()
    kinds = [element.envelope.message_type for element in alice.received if isinstance(element, Decoded)]
    assert kinds[0] is MessageType.CONNECTED
    assert MessageType.ACK in kinds  # the goodbye was acknowledged


async def test_a_relay_that_is_killed_and_comes_back_is_found_again(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    tokens = local_tokens(relay_process, "alice", key, enrolled=False, invite=invite(relay_process))
    async with connected(relay_process, tokens) as alice:
        await alice.reaches(State.CONNECTED)
        await asyncio.to_thread(relay_process.kill)
        await alice.reaches(State.WAITING)
        await asyncio.to_thread(relay_process.start)
        alice.client.reconnect_now()
        await alice.until(lambda: alice.client.status.reconnections == 1)


async def test_the_newest_connection_of_an_agent_wins(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    tokens = local_tokens(relay_process, "alice", key, enrolled=False, invite=invite(relay_process))
    async with connected(relay_process, tokens) as older:
        await older.reaches(State.CONNECTED)
        async with connected(relay_process, local_tokens(relay_process, "alice", key)) as newer:
            await newer.reaches(State.CONNECTED)
            status = await older.reaches(State.STOPPED)
            assert status.kind == "REPLACED"


@pytest.mark.parametrize("skew", [-7_200_000, 7_200_000])
async def test_a_clock_that_is_hours_off_still_connects(relay_process: RelayProcess, skew: int) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    tokens = local_tokens(relay_process, "alice", key, enrolled=False, invite=invite(relay_process))
    desk = Desk(relay_process.url)
    true_clock = desk.client._clock
    desk.client._tokens = tokens
    desk.client._clock = lambda: true_clock() + skew
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(desk.client.run())
        status = await desk.reaches(State.CONNECTED)
        assert abs((status.clock_skew_ms or 0) - skew) < 5_000
        await desk.client.stop()


async def test_a_token_is_renewed_on_the_live_connection(relay_process: RelayProcess) -> None:
    key = IdentityKey.from_seed(os.urandom(32))
    tokens = local_tokens(
        relay_process, "alice", key, enrolled=False, invite=invite(relay_process), life_ms=2_000
    )
    async with connected(relay_process, tokens) as alice:

        def greetings() -> int:
            kinds = [e.envelope.message_type for e in alice.received if isinstance(e, Decoded)]
            return kinds.count(MessageType.CONNECTED)

        await alice.until(lambda: greetings() == 3)
        assert alice.client.status.reconnections == 0
        auths = [sent for sent in alice.sent if sent.message_type is MessageType.AUTH]
        assert [sent.content for sent in auths] == [{"agentId": "alice"}] * 2
