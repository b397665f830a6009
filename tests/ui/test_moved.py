"""The window goes on with its agent at another address of the relay."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from agentnet_desktop.agent.events import ConnectionState
from agentnet_desktop.compose import create_profile
from agentnet_desktop.ui.session import Session
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.vault.kdf import Kdf
from tests.processes import RelayProcess
from tests.ui.conftest import until
from tests.ui.test_main_job import WORDS
from tests.ui.test_storage import Opened, pages

Run = Callable[[Coroutine[Any, Any, None]], None]


def relay_url(session: Session) -> str:
    """The address at which the window shows its agent connected; "" while it is not."""
    snapshot = session.bridge.snapshot
    agent = session.bridge.agent
    if snapshot is None or agent is None or agent.connection.state is not ConnectionState.CONNECTED:
        return ""
    return agent.connection.relay_url


def test_after_a_move_the_profile_is_opened_anew_and_its_pages_follow(
    run: Run, tmp_path: Path, relay_process: RelayProcess, theme: ThemeSwitch
) -> None:
    async def scenario() -> None:
        await create_profile(
            tmp_path / "alice",
            agent_id="alice",
            invite=relay_process.invite(),
            key_store="file",
            passphrase=WORDS,
            kdf=Kdf.weak(),
        )
        async with Opened(tmp_path / "alice", theme) as session:
            await until(lambda: "127.0.0.1" in relay_url(session), "the connection")
            relay_process.stop()
            other = relay_process.url.replace("127.0.0.1", "localhost")
            relay_process.extra = ("--public-url", other, "--public-url", relay_process.url)
            relay_process.start()
            keeper = session.bridge.keeper
            assert keeper is not None
            await keeper.move(relay_process.invite("--agent-id", "alice"), insecure=False)
            pages(session).relay.host.address.moved.emit()
            await until(lambda: "localhost" in relay_url(session), "the new address")
            await until(lambda: "localhost" in pages(session).relay.connection._url.text(), "the card")

    run(scenario())
