"""Profiles made and opened for real: vault file, database, agent and client, against a real relay process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.agent.events import ConnectionState
from agentnet_desktop.compose import (
    BadProfileInput,
    Holder,
    ProfileInUse,
    ProfilePaths,
    create_profile,
    open_profile,
    open_reader,
)
from agentnet_desktop.new_profile import INVITE
from agentnet_desktop.profile import NoProfile, ProfileExists, ProfileLock, ProfileUnwritable, read_settings
from agentnet_desktop.store.errors import ReadOnly, WrongKey
from agentnet_desktop.vault.errors import (
    BackendChanged,
    NoKeyring,
    PassphraseNeeded,
    VaultMissing,
    WrongPassphrase,
)
from agentnet_desktop.vault.kdf import Kdf
from tests.processes import ROOT, RelayProcess, SecretService

WORDS = "a passphrase for tests"


async def make(root: Path, **options: Any) -> Any:
    given: dict[str, Any] = {
        "agent_id": "alice",
        "relay": "wss://relay.example.org",
        "key_store": "file",
        "passphrase": WORDS,
        "kdf": Kdf.weak(),
    }
    return await create_profile(root, **(given | options))


@asynccontextmanager
async def opened(root: Path, **options: Any) -> AsyncIterator[Holder]:
    holder = await open_profile(root, **({"passphrase": WORDS} | options))
    try:
        yield holder
    finally:
        await holder.close()


async def test_a_new_profile_has_keys_a_database_and_settings_without_secrets(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "profile"
    info = await make(root, invite="the-code-of-the-invite")
    assert (info.agent_id, info.relay, info.backend) == ("alice", "wss://relay.example.org:443", "file")
    assert root.stat().st_mode & 0o777 == 0o700
    settings = read_settings(ProfilePaths(root))
    assert (settings.agent_id, settings.fingerprint, settings.enrolled) == ("alice", info.fingerprint, False)
    text = b"".join(path.read_bytes() for path in root.iterdir() if path.is_file())
    assert b"the-code-of-the-invite" not in text
    assert WORDS.encode() not in text
    async with opened(root) as holder:
        assert holder.vault.get_token(INVITE) == "the-code-of-the-invite"
        assert (await holder.agent.snapshot()).fingerprint == info.fingerprint


async def test_an_invite_link_brings_relay_name_and_pin(tmp_path: Path) -> None:
    link = (
        "agentnet://join?relay=wss%3A%2F%2Fhome%3A9000&name=My%20relay#invite="
        + "a" * 22
        + "&cert="
        + "0f" * 32
    )
    await make(tmp_path / "p", relay=None, invite=link)
    settings = read_settings(ProfilePaths(tmp_path / "p"))
    assert (settings.relay, settings.relay_name, settings.tls_pin) == (
        "wss://home:9000",
        "My relay",
        "0f" * 32,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"agent_id": "a"}, "cannot be an agent's id"),
        ({"agent_id": "system"}, "cannot be an agent's id"),
        ({"relay": None}, "Which relay"),
        ({"relay": "nonsense"}, "not a relay's address"),
        ({"relay": "ws://relay.example.org"}, "--insecure"),
        ({"invite": "agentnet://join?relay=x"}, "not whole"),
        ({"invite": "agentnet://join?relay=wss%3A%2F%2Fhome&name=x#invite=" + "a" * 22}, "not for"),
        ({"auth": "oidc"}, "--token-file"),
    ],
)
async def test_bad_input_is_refused_in_words_and_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadProfileInput, match=words):
        await make(tmp_path / "p", **options)
    assert not (tmp_path / "p").exists()


async def test_a_holders_threads_wait_less_than_a_millisecond_for_each_other(tmp_path: Path) -> None:
    await make(tmp_path / "p")
    sys.setswitchinterval(0.005)
    async with opened(tmp_path / "p"):
        assert sys.getswitchinterval() < 0.001


async def test_a_vault_file_needs_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(PassphraseNeeded):
        await make(tmp_path / "p", passphrase=None)
    assert not (tmp_path / "p").exists()


@pytest.fixture
def no_keyring() -> Iterator[None]:
    """Only the backend that fails, whatever other tests have started."""
    import keyring
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]  # keyring ships no types for it
    yield
    keyring.set_keyring(before)


async def test_without_a_keyring_nothing_is_made_and_the_way_out_is_named(
    tmp_path: Path, no_keyring: None
) -> None:
    with pytest.raises(NoKeyring, match="--key-store file"):
        await make(tmp_path / "p", key_store="keyring")
    assert not (tmp_path / "p").exists()


async def test_a_profile_is_never_made_over_another(tmp_path: Path) -> None:
    await make(tmp_path)
    before = (tmp_path / "vault.json").read_bytes()
    with pytest.raises(ProfileExists):
        await make(tmp_path)
    assert (tmp_path / "vault.json").read_bytes() == before
    async with opened(tmp_path):
        pass


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileUnwritable, match="cannot be made"):
        await make(tmp_path / "file" / "p")


async def test_a_database_that_cannot_be_made_takes_the_keys_back(
    tmp_path: Path, secret_service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring

    from agentnet_desktop.store.engine import Database

    def full(path: Path, *_: Any, **__: Any) -> Database:
        path.write_bytes(b"half")
        raise ReadOnly(path)

    kept: list[str] = []
    real = keyring.get_keyring().set_password

    def watched(_: Any, service: str, name: str, secret: str) -> None:
        kept.append(f"{service}|{name}")
        real(service, name, secret)

    monkeypatch.setattr(Database, "open", full)
    monkeypatch.setattr(type(keyring.get_keyring()), "set_password", watched)
    with pytest.raises(ReadOnly):
        await make(tmp_path / "p", key_store="keyring", passphrase=None, kdf=None)
    assert kept
    for entry in kept:
        assert keyring.get_password(*entry.split("|")) is None
    assert not (tmp_path / "p").exists()


async def test_keys_in_a_real_keyring_open_without_a_passphrase(
    tmp_path: Path, secret_service: SecretService
) -> None:
    info = await make(tmp_path, key_store="keyring", passphrase=None, kdf=None)
    assert "SecretService" in info.backend
    assert not (tmp_path / "vault.json").exists()
    async with opened(tmp_path, passphrase=None) as holder:
        assert not holder.vault.has_passphrase


async def test_a_passphrase_is_asked_for_only_when_there_is_one(
    tmp_path: Path, secret_service: SecretService
) -> None:
    def never() -> str:
        raise AssertionError

    await make(tmp_path / "a", key_store="keyring", passphrase=None, kdf=None)
    async with opened(tmp_path / "a", passphrase=never):
        pass
    asked: list[bool] = []

    def once() -> str:
        asked.append(True)
        return WORDS

    await make(tmp_path / "b", key_store="keyring")
    async with opened(tmp_path / "b", passphrase=once):
        assert asked == [True]


@pytest.mark.parametrize(("words", "error"), [("wrong", WrongPassphrase), (None, PassphraseNeeded)])
async def test_a_profile_that_stays_locked_is_free_for_the_next_try(
    tmp_path: Path, words: str | None, error: type[Exception]
) -> None:
    await make(tmp_path)
    with pytest.raises(error):
        await open_profile(tmp_path, passphrase=words)
    async with opened(tmp_path):
        pass


async def test_missing_keys_are_told_and_never_replaced(tmp_path: Path) -> None:
    await make(tmp_path)
    (tmp_path / "vault.json").unlink()
    with pytest.raises(VaultMissing):
        await open_profile(tmp_path, passphrase=WORDS)
    assert not (tmp_path / "vault.json").exists()


async def test_another_key_store_than_the_recorded_one_stops_the_start(tmp_path: Path) -> None:
    await make(tmp_path)
    file = tmp_path / "profile.json"
    file.write_text(
        file.read_text().replace('"backend": "file"', '"backend": "keyring.backends.kwallet.DBusKeyring"')
    )
    with pytest.raises(BackendChanged):
        await open_profile(tmp_path, passphrase=WORDS)


async def test_a_database_of_another_profile_is_refused(tmp_path: Path) -> None:
    await make(tmp_path / "a")
    await make(tmp_path / "b")
    (tmp_path / "b" / "agent.db").replace(tmp_path / "a" / "agent.db")
    with pytest.raises(WrongKey):
        await open_profile(tmp_path / "a", passphrase=WORDS)


async def test_no_profile_is_told_as_such(tmp_path: Path) -> None:
    for way in (open_profile, open_reader):
        with pytest.raises(NoProfile):
            await way(tmp_path / "p", passphrase=WORDS)
    assert not (tmp_path / "p").exists()


async def test_a_second_holder_is_refused_while_readers_are_welcome(tmp_path: Path) -> None:
    await make(tmp_path)
    async with opened(tmp_path) as holder:
        with pytest.raises(ProfileInUse):
            await open_profile(tmp_path, passphrase=WORDS)
        link = await _link(holder)
        reader = await open_reader(tmp_path, passphrase=WORDS)
        assert [view.link for view in await reader.agent.contact_links()] == [link]
        with pytest.raises(ReadOnly):
            await _link(reader)
        await reader.close()


async def _link(holder: Holder) -> str:
    return (await holder.agent.create_contact_link()).link


async def test_a_single_command_that_holds_the_profile_is_waited_for(tmp_path: Path) -> None:
    await make(tmp_path)
    brief = ProfileLock(ProfilePaths(tmp_path), brief=True)
    with pytest.raises(ProfileInUse):
        await open_profile(tmp_path, passphrase=WORDS, brief=True)
    asyncio.get_running_loop().call_soon(brief.release)
    async with opened(tmp_path):
        pass


async def test_the_first_connection_enrols_and_the_invite_is_forgotten(
    tmp_path: Path, relay_process: RelayProcess
) -> None:
    await make(tmp_path, relay=None, invite=relay_process.invite_link)
    async with opened(tmp_path) as holder:
        await holder.start()
        assert await holder.agent.wait_connected(10)
    assert read_settings(ProfilePaths(tmp_path)).enrolled
    async with opened(tmp_path) as holder:
        assert holder.vault.get_token(INVITE) is None
        await holder.start()
        assert await holder.agent.wait_connected(10)
        connection = (await holder.agent.snapshot()).connection
        assert (connection.state, connection.insecure) == (ConnectionState.CONNECTED, False)
        assert holder.paths.socket.exists()
    assert not holder.paths.socket.exists()
    await holder.close()


async def test_an_invite_is_kept_until_the_relay_was_reached(tmp_path: Path) -> None:
    await make(tmp_path, relay="ws://127.0.0.1:1", invite="a" * 22)
    async with opened(tmp_path) as holder:
        await holder.start()
        assert not await holder.agent.wait_connected(0.01)
    assert not read_settings(ProfilePaths(tmp_path)).enrolled
    async with opened(tmp_path) as holder:
        assert holder.vault.get_token(INVITE) == "a" * 22


UNDER_QT = """
import asyncio, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from qasync import QEventLoop
from agentnet_desktop.compose import open_profile
from agentnet_desktop.control import RemoteAgent

async def main(root, words):
    holder = await open_profile(Path(root), passphrase=words)
    await holder.start()
    assert await holder.agent.wait_connected(20)
    remote = await RemoteAgent.connect(holder.paths.socket)
    print((await remote.snapshot()).connection.state)
    link = await remote.create_contact_link()
    assert [view.link for view in await holder.agent.contact_links()] == [link.link]
    await remote.close()
    await holder.close()

application = QCoreApplication([])
with QEventLoop(application) as loop:
    loop.run_until_complete(main(*sys.argv[1:]))
"""


async def test_a_profile_is_held_and_asked_under_qts_loop(
    tmp_path: Path, relay_process: RelayProcess
) -> None:
    await make(tmp_path, relay=None, invite=relay_process.invite_link)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", UNDER_QT, str(tmp_path), WORDS],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "CONNECTED"), done.stderr
    assert done.stderr == ""
