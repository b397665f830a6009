"""An agent moves to another address of its relay, or to another relay: real relay processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentnet_desktop import profile
from agentnet_desktop.agent.errors import BadInput, NotAllowed
from agentnet_desktop.agent.events import ConnectionState
from agentnet_desktop.compose import Holder, create_profile, open_profile
from agentnet_desktop.moving import move
from agentnet_desktop.new_profile import INVITE
from agentnet_desktop.profile import ProfileUnwritable
from agentnet_desktop.vault.kdf import Kdf
from tests.processes import RelayProcess

WORDS = "a passphrase for tests"


async def opened(root: Path) -> Holder:
    """The profile, its agent connected."""
    holder = await open_profile(root, passphrase=WORDS)
    await holder.start()
    assert await holder.agent.wait_connected(30)
    return holder


@pytest.fixture
async def alice(tmp_path: Path, relay_process: RelayProcess) -> AsyncIterator[Holder]:
    """Alice at the relay's loopback address, enrolled."""
    invite = relay_process.invite()
    await create_profile(
        tmp_path / "alice",
        agent_id="alice",
        invite=invite,
        key_store="file",
        passphrase=WORDS,
        kdf=Kdf.weak(),
    )
    holder = await opened(tmp_path / "alice")
    yield holder
    await holder.close()


async def test_an_agent_follows_its_relay_to_another_address_and_links_name_that(
    alice: Holder, relay_process: RelayProcess
) -> None:
    contact_key = alice.vault.identity.public
    other = relay_process.url.replace("127.0.0.1", "localhost")
    relay_process.stop()
    relay_process.extra = ("--public-url", other, "--public-url", relay_process.url)
    relay_process.start()
    link = relay_process.invite("--agent-id", "alice")

    await move(alice, link)
    assert alice.agent.connection.state is not ConnectionState.CONNECTED
    await alice.close()

    again = await opened(alice.paths.root)
    try:
        assert again.vault.identity.public == contact_key
        assert again.settings.relay == other
        assert (await again.agent.create_contact_link()).link.count("localhost") == 1
    finally:
        await again.close()


@pytest.mark.parametrize(
    "link",
    ["hello", "agentnet://contact/bob?x", "agentnet://join?relay=ws%3A%2F%2F192.0.2.1&name=x#invite=abc"],
)
async def test_a_link_that_cannot_be_used_leaves_the_agent_at_work(alice: Holder, link: str) -> None:
    before = alice.settings.relay
    with pytest.raises(BadInput):
        await move(alice, link)
    assert alice.agent.connection.state is ConnectionState.CONNECTED
    assert profile.read_settings(alice.paths).relay == before


async def test_what_cannot_be_written_leaves_the_old_relay(
    alice: Holder, relay_process: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ProfileUnwritable("The disk is full.")

    monkeypatch.setattr("agentnet_desktop.moving.write_settings", full)
    with pytest.raises(NotAllowed, match="The disk is full"):
        await move(alice, relay_process.invite())
    assert alice.vault.get_token(INVITE) is None
    await alice.close()
    again = await opened(alice.paths.root)
    assert again.settings == replace(alice.settings, enrolled=True)
    await again.close()
