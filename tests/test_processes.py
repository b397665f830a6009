"""The fixtures that start real processes do what the tests that lean on them believe."""

from __future__ import annotations

import asyncio
import os
import signal
from urllib.parse import urlsplit

import keyring
import pytest

from tests.processes import RelayProcess, SecretService


async def connects(relay: RelayProcess) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_killed_relay_comes_back_on_the_same_port(relay_process: RelayProcess) -> None:
    url = relay_process.url
    assert await connects(relay_process)
    relay_process.kill()
    assert not await connects(relay_process)
    relay_process.start()
    assert relay_process.url == url
    assert await connects(relay_process)


def test_each_invite_is_another_link_for_the_same_relay(relay_process: RelayProcess) -> None:
    links = {relay_process.invite_link, relay_process.invite(), relay_process.invite("--agent-id", "bob")}
    assert len(links) == 3
    assert {urlsplit(link).query for link in links} == {urlsplit(relay_process.invite_link).query}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_relay_ends_in_order_when_asked_to(relay_process: RelayProcess, number: signal.Signals) -> None:
    assert relay_process.process is not None
    relay_process.process.send_signal(number)
    assert relay_process.process.wait(10) == 0


def test_the_keyring_of_the_tests_is_real_and_not_the_persons_own(secret_service: SecretService) -> None:
    assert keyring.get_keyring().name.startswith("SecretService")
    keyring.set_password("agentnet-tests", "one", "kept")
    assert keyring.get_password("agentnet-tests", "one") == "kept"
    keyring.delete_password("agentnet-tests", "one")
    assert keyring.get_password("agentnet-tests", "one") is None
    assert os.environ["DBUS_SESSION_BUS_ADDRESS"] == secret_service.address
