"""What a relay that was broken into holds after a run of the main job: its memory, log, metrics and files."""

from __future__ import annotations

import asyncio
import base64
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from agentnet_desktop.crypto.session import SessionKeys
from tests.end_to_end.people import LIMIT_S, Person
from tests.end_to_end.tee import Tee
from tests.end_to_end.test_main_job import DRAFT, NOTE, TITLE, asked
from tests.processes import RelayProcess
from tests.relay.conftest import Net

KEYS: list[bytes] = []


@pytest.fixture
def relay(
    request: pytest.FixtureRequest, tee: Tee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RelayProcess]:
    """A relay with metrics; every session key that the agents make from here on is written down.

    Further options of `serve` may come as the fixture's parameter.
    """
    make = SessionKeys.__init__

    def noted(self: SessionKeys, *keys: bytes) -> None:
        KEYS.extend(keys)
        make(self, *keys)

    monkeypatch.setattr(SessionKeys, "__init__", noted)
    options = ("--public-url", f"ws://127.0.0.1:{tee.port}", "--metrics-port", "0", "--log-level", "debug")
    process = RelayProcess(tmp_path / "relay", extra=(*options, *getattr(request, "param", ())))
    process.start()
    tee.target = process.port
    yield process
    process.stop()
    KEYS.clear()


def memory(pid: int) -> bytes:
    """All that a process can write to."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            start, end = (int(address, 16) for address in span.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                file.seek(start)
                found.append(file.read(end - start))
    return b"\0".join(found)


def forms(key: bytes) -> list[bytes]:
    """A key as it may stand somewhere: itself, in hex, in base64."""
    return [
        key,
        key.hex().encode(),
        base64.b64encode(key).rstrip(b"="),
        base64.urlsafe_b64encode(key).rstrip(b"="),
    ]


async def propose_and_decline(alice: Person, bob: Person) -> None:
    (sent,) = await alice.agent.propose([bob.id], DRAFT)
    await bob.agent.decline(await asked(bob), note=NOTE)
    assert await alice.agent.wait_proposal(sent.ref, LIMIT_S) is not None


async def test_neither_memory_log_metrics_nor_files_of_the_relay_hold_a_plaintext_or_a_key(
    friends: tuple[Person, Person], relay: RelayProcess, tee: Tee
) -> None:
    await propose_and_decline(*friends)
    assert relay.process is not None
    assert relay.lines is not None
    assert relay.log is not None

    held = await asyncio.to_thread(memory, relay.process.pid)
    url = relay.lines.until(r"metrics on (http://\S+)")[1]
    with await asyncio.to_thread(urllib.request.urlopen, url + "/metrics", timeout=10) as answer:
        metrics = answer.read()
    files = b"".join(path.read_bytes() for path in relay.data_dir.rglob("*") if path.is_file())
    log = await asyncio.to_thread(lambda: (relay.stop(), relay.log.rest() if relay.log else "")[1])

    assert b"agentnet_relay_messages_routed_total" in metrics
    assert "connection authenticated agent=alice" in log
    assert b"ENCRYPTED" in held  # this is indeed the memory that the messages went through
    secrets = [text.encode() for text in (TITLE, NOTE, "Royal Greenwich", "2030-05-06T10:00:00")]
    private = [who.holder.vault.identity.export_seed() for who in friends]
    assert len(set(KEYS)) >= 3
    secrets += [form for key in {*KEYS, *private} for form in forms(key)]
    for secret in secrets:
        assert secret not in held
        assert secret not in metrics + files + log.encode()
    tokens = re.findall(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+", tee.heard())
    assert len(tokens) >= 2
    invites = [match.encode() for match in re.findall(r"invite=([\w-]+)", relay.invite_link)]
    for token in [*tokens, *invites]:
        assert token not in metrics + files + log.encode()
    assert b"eyJ" not in metrics + files + log.encode()


async def test_a_token_found_in_the_relays_memory_lets_nobody_in(
    friends: tuple[Person, Person], relay: RelayProcess, tee: Tee
) -> None:
    """A token was read from the socket, and freed memory is not wiped: what may be left there is spent."""
    del friends
    assert relay.process is not None
    held = await asyncio.to_thread(memory, relay.process.pid)
    found = set(re.findall(rb"eyJ[\w-]+\.[\w-]+\.[\w-]{86}", held + tee.heard()))
    assert len(found) >= 2
    net = Net(relay)
    for token in found:
        for name in ("alice", "bob"):
            with pytest.raises(InvalidStatus) as refused:
                await net.dial(name, token=token.decode())
            assert refused.value.response.status_code == 401
    await net.close()


@pytest.mark.parametrize("relay", [("--wipe-memory",)], indirect=True)
async def test_a_relay_that_wipes_what_it_frees_holds_no_part_of_a_token_that_it_took(
    friends: tuple[Person, Person], relay: RelayProcess, tee: Tee
) -> None:
    await propose_and_decline(*friends)
    assert relay.process is not None
    held = await asyncio.to_thread(memory, relay.process.pid)
    tokens = set(re.findall(rb"eyJ[\w-]+\.[\w-]+\.[\w-]{86}", tee.heard()))
    assert len(tokens) >= 2
    assert b"ENCRYPTED" in held
    for token in tokens:
        claims, signature = token.split(b".")[1:]
        for part in (claims, signature, *forms(base64.urlsafe_b64decode(signature + b"=="))):
            assert part not in held
