"""Shells with profiles, and relays for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.compose import create_profile
from agentnet_desktop.vault.kdf import Kdf
from tests.cli.shells import WORDS, Shell
from tests.processes import RelayProcess


@pytest.fixture
def new_shell(tmp_path: Path) -> Iterator[Callable[[str], Shell]]:
    """Makes a shell whose profile does not exist yet; what it started is ended with the test."""
    shells: list[Shell] = []
    words = tmp_path / "words"
    words.write_text(WORDS + "\nnot this line\n")

    def make(name: str) -> Shell:
        shells.append(Shell(tmp_path / name, words))
        return shells[-1]

    yield make
    for shell in shells:
        for running in shell.running:
            running.clean_up()


@pytest.fixture
def shell(new_shell: Callable[[str], Shell]) -> Callable[..., Shell]:
    """Makes a shell with a profile, with a key derivation that takes no time."""

    def make(name: str, relay: RelayProcess | None = None, invite: str = "") -> Shell:
        made = new_shell(name)
        link = relay.invite() if relay is not None else invite
        where: dict[str, Any] = {"invite": link} if link else {"relay": "ws://127.0.0.1:1"}
        asyncio.run(
            create_profile(
                made.profile, agent_id=name, key_store="file", passphrase=WORDS, kdf=Kdf.weak(), **where
            )
        )
        return made

    return make


@pytest.fixture
def contacts(shell: Callable[..., Shell], relay_process: RelayProcess) -> tuple[Shell, Shell]:
    """Alice and Bob, who know each other; nobody runs."""
    alice, bob = shell("alice", relay_process), shell("bob", relay_process)
    running = bob.run("--answer", "ask")
    link = bob("contact", "link")
    assert link.code == 0, link.err
    added = alice("contact", "add", link.out.strip(), "--wait", "30")
    assert added.code == 0, added.err
    assert running.stop() == 0
    return alice, bob
