"""The log's head in the vault: kept over a passphrase change, told when it cannot be, asked by `log verify`."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from agentnet_desktop.agent.ports import HeadNotKept, KeptHead
from agentnet_desktop.cli.main import main
from agentnet_desktop.compose import LOG_HEAD, ProfilePaths, VaultHeadKeeper, create_profile, open_profile
from agentnet_desktop.vault.kdf import Kdf

WORDS = "a passphrase for tests"
HEAD = KeptHead(7, b"h" * 32, b"s" * 64)


async def make(root: Path) -> Path:
    await create_profile(
        root,
        agent_id="alice",
        relay="ws://127.0.0.1:9",
        key_store="file",
        passphrase=WORDS,
        kdf=Kdf.weak(),
    )
    return root


async def test_a_head_is_kept_over_a_change_of_the_passphrase(tmp_path: Path) -> None:
    holder = await open_profile(await make(tmp_path / "p"), passphrase=WORDS)
    try:
        keeper = VaultHeadKeeper(holder.vault)
        assert await keeper.load() is None
        await keeper.save(HEAD)
        await asyncio.to_thread(lambda: holder.vault.change_passphrase("another", kdf=Kdf.weak()))
        assert await keeper.load() == HEAD
    finally:
        await holder.close()


async def test_an_entry_that_is_no_head_and_a_vault_that_refuses_are_told(tmp_path: Path) -> None:
    holder = await open_profile(await make(tmp_path / "p"), passphrase=WORDS)
    keeper = VaultHeadKeeper(holder.vault)
    holder.vault.set_token(LOG_HEAD, "nonsense")
    with pytest.raises(HeadNotKept, match="damaged"):
        await keeper.load()
    await holder.close()
    with pytest.raises(HeadNotKept, match="locked"):
        await keeper.save(HEAD)
    with pytest.raises(HeadNotKept, match="locked"):
        await keeper.load()


def test_log_verify_finds_an_old_copy_of_the_database_without_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, old = tmp_path / "p", tmp_path / "old.db"

    async def live() -> None:
        holder = await open_profile(root, passphrase=WORDS)
        await holder.start()
        await holder.agent._ground.turn(
            lambda turn: holder.agent._journal.security(turn, peer="", kind="NOTE", words="noted")
        )
        await holder.close()

    asyncio.run(make(root))
    asyncio.run(live())
    database = ProfilePaths(root).database
    shutil.copy(database, old)
    asyncio.run(live())
    words = tmp_path / "words"
    words.write_text(WORDS)
    words.chmod(0o600)
    monkeypatch.setenv("AGENTNET_PASSPHRASE_FILE", str(words))
    assert main(["--profile", str(root), "log", "verify"]) == 0
    assert "by what the key store or peers hold" in capsys.readouterr().out
    shutil.copy(old, database)
    assert main(["--profile", str(root), "log", "verify"]) != 0
    assert "The keyring says that the log had at least 2 entries" in capsys.readouterr().out
