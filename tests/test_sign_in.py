"""A profile signs in with an account or a token file: real keys, a real relay process, an issuer on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentnet_desktop.agent.errors import NotAllowed
from agentnet_desktop.agent.events import (
    ConnectionChanged,
    ConnectionState,
    ConnectionView,
    Event,
    LogAppended,
)
from agentnet_desktop.compose import (
    Account,
    BadProfileInput,
    Holder,
    ProfilePaths,
    create_profile,
    open_profile,
)
from agentnet_desktop.control import RemoteAgent
from agentnet_desktop.new_profile import delete_profile
from agentnet_desktop.portable import back_up, restore
from agentnet_desktop.profile import ProfileExists, ProfileInUse, SignInFailed, read_settings
from agentnet_desktop.sign_in import VaultTokenStore
from agentnet_desktop.transport.firebase import REFRESH_TOKEN
from agentnet_desktop.transport.tokens import TokenError
from agentnet_desktop.vault.kdf import Kdf
from tests.issuer import ACCOUNT, PROJECT, WEB_KEY, Issuer, firebase_claims
from tests.processes import RelayProcess, SecretService

WORDS = "a passphrase for tests"
LIMIT_S = 30.0
SHORT_S = 4  # how long a token lasts where its renewal is waited for: that comes after three quarters

Serve = Callable[..., RelayProcess]


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts a relay with options of `serve`."""
    relays: list[RelayProcess] = []

    def start(*options: str) -> RelayProcess:
        relays.append(RelayProcess(tmp_path_factory.mktemp("relay"), extra=options))
        relays[-1].start()
        return relays[-1]

    yield start
    for relay in relays:
        relay.stop()


@pytest.fixture
def firebase(serve: Serve, issuer: Issuer) -> RelayProcess:
    """A relay for Firebase accounts, whose keys are the issuer's."""
    return serve(
        "--auth", "firebase", "--firebase-project", PROJECT, "--firebase-keys-url", issuer.url + "/keys"
    )


@pytest.fixture
def oidc(serve: Serve, issuer: Issuer) -> RelayProcess:
    """A relay for the issuer's tokens."""
    return serve("--auth", "oidc", "--oidc-issuer", issuer.url, "--oidc-audience", "agentnet")


async def make(root: Path, **options: Any) -> Any:
    given = {"agent_id": "alice", "key_store": "file", "passphrase": WORDS, "kdf": Kdf.weak(), **options}
    return await create_profile(root, **given)


def account(issuer: Issuer, **changes: str) -> Account:
    given = {"api_key": WEB_KEY, "email": ACCOUNT[0], "password": ACCOUNT[1], "emulator": issuer.url}
    return Account(**(given | changes))


async def make_with_account(root: Path, relay: RelayProcess, issuer: Issuer, **changes: str) -> Any:
    options = {"auth": "firebase", "account": account(issuer, **changes), "invite": relay.invite_link}
    return await make(root, **options)


class Watched:
    """An open profile at work, and all that it told."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.types: list[str] = []
        self._news = asyncio.Event()
        holder.agent.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LogAppended):
            self.types += [row.message_type for row in event.rows]
        if isinstance(event, ConnectionChanged | LogAppended):
            self._news.set()

    @property
    def view(self) -> ConnectionView:
        return self.holder.agent.connection

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def reaches(self, state: ConnectionState, kind: str = "") -> str:
        """Waits for a state and its reason's kind; returns the reason."""
        await self.until(lambda: (self.view.state, self.view.kind) == (state, kind))
        return self.view.reason


@asynccontextmanager
async def at_work(root: Path) -> AsyncIterator[Watched]:
    holder = await open_profile(root, passphrase=WORDS)
    try:
        watched = Watched(holder)
        await holder.start()
        yield watched
    finally:
        await holder.close()


# -------------------------------------------------------------------------------------------- an account


async def test_an_account_claims_its_agent_and_comes_back_without_a_password(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path / "p", firebase, issuer)
    settings = read_settings(ProfilePaths(tmp_path / "p"))
    assert (settings.firebase_email, settings.firebase_project) == (ACCOUNT[0], PROJECT)
    files = b"".join(path.read_bytes() for path in (tmp_path / "p").iterdir() if path.is_file())
    assert ACCOUNT[1].encode() not in files
    assert b"a refresh token" not in files
    for enrolled in (False, True):
        assert read_settings(ProfilePaths(tmp_path / "p")).enrolled is enrolled
        async with at_work(tmp_path / "p") as alice:
            await alice.reaches(ConnectionState.CONNECTED)
            assert alice.holder.account == ACCOUNT[0]
    assert issuer.asked == [("sign in", 200), ("refresh", 200), ("refresh", 200)]


async def test_the_token_of_an_account_is_renewed_on_the_connection_that_stands(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path, firebase, issuer)
    issuer.life_s = SHORT_S
    issuer.publish("two")  # ahead of its use, as Google does
    async with at_work(tmp_path) as alice:
        await alice.reaches(ConnectionState.CONNECTED)
        first = alice.view.connection_id
        issuer.roll("two")
        await firebase_knows(alice)
        assert alice.types.count("AUTH") == 1
        assert (alice.view.state, alice.view.connection_id) == (ConnectionState.CONNECTED, first)


async def firebase_knows(alice: Watched, greetings: int = 2) -> None:
    """Waits until the relay has confirmed a renewed token."""
    await alice.until(lambda: alice.types.count("CONNECTED") >= greetings)


async def test_a_sign_in_that_ends_is_told_while_the_connection_stands_and_mended_on_it(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path, firebase, issuer)
    issuer.life_s = SHORT_S
    async with at_work(tmp_path) as alice:
        await alice.reaches(ConnectionState.CONNECTED)
        first = alice.view.connection_id
        issuer.ended = "TOKEN_EXPIRED"
        assert "sign in again" in await alice.reaches(ConnectionState.CONNECTED, "SIGN_IN_ENDED")
        issuer.ended, issuer.life_s = "", 3600
        await alice.holder.sign_in("", ACCOUNT[1])
        await firebase_knows(alice)
        assert (alice.view.reason, alice.view.connection_id) == ("", first)


@pytest.mark.parametrize(
    ("code", "words"), [("TOKEN_EXPIRED", "sign in again"), ("USER_DISABLED", "account is disabled")]
)
async def test_an_agent_whose_sign_in_ended_waits_for_a_person_who_signs_in(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer, code: str, words: str
) -> None:
    await make_with_account(tmp_path, firebase, issuer)
    issuer.ended = code
    async with at_work(tmp_path) as alice:
        assert words in await alice.reaches(ConnectionState.STOPPED, "SIGN_IN_ENDED")
        with pytest.raises(NotAllowed, match="password is wrong"):
            await alice.holder.sign_in("", "wrong")
        assert alice.view.state is ConnectionState.STOPPED
        remote = await RemoteAgent.connect(alice.holder.paths.socket)
        with pytest.raises(NotAllowed, match="password is wrong"):
            await remote.sign_in(ACCOUNT[0], "wrong")
        issuer.ended = ""
        await remote.sign_in("", ACCOUNT[1])
        await alice.reaches(ConnectionState.CONNECTED)
        await remote.close()


async def test_an_outage_of_the_issuer_is_borne_and_ends_by_itself(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path, firebase, issuer)
    issuer.life_s, issuer.is_down = SHORT_S, True
    async with at_work(tmp_path) as alice:
        assert "refused the sign-in (HTTP 503)" in await alice.reaches(
            ConnectionState.WAITING, "AUTHENTICATION_ERROR"
        )
        issuer.is_down = False
        alice.holder.agent.reconnect_now()
        await alice.reaches(ConnectionState.CONNECTED)
        first = alice.view.connection_id
        issuer.refused.clear()
        issuer.is_down = True
        assert await asyncio.to_thread(issuer.refused.wait, LIMIT_S)
        issuer.is_down, issuer.life_s = False, 3600
        await firebase_knows(alice)
        assert (alice.view.state, alice.view.connection_id) == (ConnectionState.CONNECTED, first)
        assert issuer.fetched == 1


async def test_an_account_of_no_agent_is_refused_in_words(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    options = {"auth": "firebase", "account": account(issuer), "relay": firebase.url}
    await make(tmp_path, **options)
    async with at_work(tmp_path) as alice:
        words = await alice.reaches(ConnectionState.WAITING, "AUTHENTICATION_FAILED")
        assert "ask its operator for a new invite" in words


async def test_a_restored_agent_asks_for_a_sign_in(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path / "old", firebase, issuer)
    async with at_work(tmp_path / "old") as alice:
        await alice.reaches(ConnectionState.CONNECTED)
        await back_up(alice.holder, tmp_path / "backup", passphrase=WORDS, kdf=Kdf.weak())
    await restore(
        tmp_path / "new",
        tmp_path / "backup",
        backup_passphrase=WORDS,
        key_store="file",
        passphrase=WORDS,
        kdf=Kdf.weak(),
    )
    async with at_work(tmp_path / "new") as alice:
        assert "Nobody is signed in" in await alice.reaches(ConnectionState.STOPPED, "SIGN_IN_ENDED")
        assert alice.holder.settings.firebase_project == PROJECT
        await alice.holder.sign_in("", ACCOUNT[1])
        await alice.reaches(ConnectionState.CONNECTED)


async def test_an_agent_without_an_account_has_nothing_to_sign_in_to(tmp_path: Path) -> None:
    await make(tmp_path, relay="ws://127.0.0.1:1")
    holder = await open_profile(tmp_path, passphrase=WORDS)
    assert holder.account is None
    with pytest.raises(NotAllowed, match="by itself"):
        await holder.sign_in(*ACCOUNT)
    await holder.close()


async def test_a_vault_that_cannot_be_asked_is_told_as_no_token(tmp_path: Path, issuer: Issuer) -> None:
    await make(tmp_path, relay="ws://127.0.0.1:1", auth="firebase", account=account(issuer))
    holder = await open_profile(tmp_path, passphrase=WORDS)
    store = VaultTokenStore(holder.vault)
    assert store.get_token(REFRESH_TOKEN) == "a refresh token"
    store.set_token(REFRESH_TOKEN, None)
    assert store.get_token(REFRESH_TOKEN) is None
    await holder.close()
    with pytest.raises(TokenError, match=r"cannot be read\. The vault is locked"):
        store.get_token(REFRESH_TOKEN)
    with pytest.raises(TokenError, match=r"cannot be kept\. The vault is locked"):
        store.set_token(REFRESH_TOKEN, "x")


# ------------------------------------------------------------------------------------------ a token file


async def test_a_token_file_that_another_program_renews_is_taken_up_before_the_old_token_ends(
    tmp_path: Path, oidc: RelayProcess, issuer: Issuer
) -> None:
    file = tmp_path / "token"
    file.write_text(short_token(issuer))
    await make(tmp_path / "p", auth="oidc", token_file=str(file), invite=oidc.invite_link)
    file.write_text(short_token(issuer))
    async with at_work(tmp_path / "p") as alice:
        await alice.reaches(ConnectionState.CONNECTED)
        first = alice.view.connection_id
        file.write_text(issuer.token() + "\n")
        await firebase_knows(alice)
        assert (alice.view.state, alice.view.connection_id) == (ConnectionState.CONNECTED, first)
    assert read_settings(ProfilePaths(tmp_path / "p")).enrolled


def short_token(issuer: Issuer) -> str:
    return issuer.token(exp=int(time.time()) + SHORT_S)


async def test_a_token_file_that_nobody_renewed_is_told_and_taken_up_later(
    tmp_path: Path, oidc: RelayProcess, issuer: Issuer
) -> None:
    file = tmp_path / "token"
    file.write_text(issuer.token(exp=1_700_000_000, iat=1_699_990_000))
    await make(tmp_path / "p", auth="oidc", token_file=str(file), invite=oidc.invite_link)
    async with at_work(tmp_path / "p") as alice:
        assert "has ended" in await alice.reaches(ConnectionState.WAITING, "AUTHENTICATION_ERROR")
        file.unlink()
        alice.holder.agent.reconnect_now()
        await alice.until(lambda: "cannot be read" in alice.view.reason)
        file.write_text(issuer.token())
        alice.holder.agent.reconnect_now()
        await alice.reaches(ConnectionState.CONNECTED)


async def test_a_firebase_token_may_come_out_of_a_file_too(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    file = tmp_path / "token"
    file.write_text(issuer.token(**firebase_claims()))
    await make(tmp_path / "p", auth="firebase", token_file=str(file), invite=firebase.invite_link)
    async with at_work(tmp_path / "p") as alice:
        await alice.reaches(ConnectionState.CONNECTED)
    assert issuer.asked == []


# ------------------------------------------------------------------------------------- nothing half-made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "password is wrong"),
        ({"api_key": "another-key"}, "does not know this Web API key"),
        ({"emulator": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
async def test_a_sign_in_that_fails_makes_nothing(
    tmp_path: Path, issuer: Issuer, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(SignInFailed, match=words):
        await make(
            tmp_path / "p", relay="ws://127.0.0.1:1", auth="firebase", account=account(issuer, **changes)
        )
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("auth", "token_file", "changes", "words"),
    [
        ("firebase", None, None, "needs one of two"),
        ("firebase", "f", {}, "needs one of two"),
        ("oidc", None, None, "--token-file"),
        ("oidc", "f", {}, "--token-file"),
        ("local", "f", None, "not with local"),
        ("local", None, {}, "not with local"),
        ("firebase", None, {"api_key": ""}, "needs the project's Web API key"),
        ("firebase", None, {"api_key": "two words"}, "no Web API key"),
        ("firebase", None, {"api_key": "schlüssel"}, "no Web API key"),
        ("firebase", None, {"email": "alice"}, "not an e-mail address"),
        ("firebase", None, {"emulator": "http://example.org:9099"}, "on this machine"),
    ],
)
async def test_a_way_to_sign_in_that_cannot_be_is_refused_before_anyone_is_asked(
    tmp_path: Path,
    issuer: Issuer,
    auth: str,
    token_file: str | None,
    changes: dict[str, str] | None,
    words: str,
) -> None:
    with pytest.raises(BadProfileInput, match=words):
        await make(
            tmp_path / "p",
            relay="ws://127.0.0.1:1",
            auth=auth,
            token_file=token_file,
            account=None if changes is None else account(issuer, **changes),
        )
    assert not (tmp_path / "p").exists()
    assert issuer.asked == []


async def test_where_a_profile_is_already_nobody_is_signed_in(tmp_path: Path, issuer: Issuer) -> None:
    await make(tmp_path, relay="ws://127.0.0.1:1")
    with pytest.raises(ProfileExists):
        await make(tmp_path, relay="ws://127.0.0.1:1", auth="firebase", account=account(issuer))
    assert issuer.asked == []


async def test_a_making_that_is_cancelled_leaves_nothing_behind(
    tmp_path: Path, secret_service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring

    kept: set[tuple[str, str]] = set()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    backend = type(keyring.get_keyring())
    real = backend.set_password

    def watched(self: Any, service: str, name: str, secret: str) -> None:
        kept.add((service, name))
        loop.call_soon_threadsafe(begun.set)
        real(self, service, name, secret)

    monkeypatch.setattr(backend, "set_password", watched)
    options = {"relay": "ws://127.0.0.1:1", "key_store": "keyring", "passphrase": None, "kdf": None}
    making = loop.create_task(make(tmp_path / "p", **options))
    await begun.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert len(kept) > 3
    assert [entry for entry in kept if keyring.get_password(*entry) is not None] == []
    assert not (tmp_path / "p").exists()


async def test_a_profile_can_be_taken_back_and_what_is_not_its_own_stays(
    tmp_path: Path, firebase: RelayProcess, issuer: Issuer
) -> None:
    await make_with_account(tmp_path / "p", firebase, issuer)
    async with at_work(tmp_path / "p") as alice:
        await alice.reaches(ConnectionState.CONNECTED)
        with pytest.raises(ProfileInUse):
            delete_profile(tmp_path / "p")
    delete_profile(tmp_path / "p")
    assert not (tmp_path / "p").exists()
    await make(tmp_path / "q", relay="ws://127.0.0.1:1")
    (tmp_path / "q" / "mine").write_text("")
    delete_profile(tmp_path / "q")
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["mine"]


async def test_a_backup_that_cannot_be_filled_in_leaves_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(tmp_path / "old", relay="ws://127.0.0.1:1")
    holder = await open_profile(tmp_path / "old", passphrase=WORDS)
    await back_up(holder, tmp_path / "backup", passphrase=WORDS, kdf=Kdf.weak())
    await holder.close()

    def refuse(*_: object) -> None:
        raise NotAllowed("No.")

    monkeypatch.setattr("agentnet_desktop.portable.write_settings", refuse)
    with pytest.raises(NotAllowed):
        await restore(
            tmp_path / "new",
            tmp_path / "backup",
            backup_passphrase=WORDS,
            key_store="file",
            passphrase=WORDS,
            kdf=Kdf.weak(),
        )
    assert not (tmp_path / "new").exists()
