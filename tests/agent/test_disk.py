"""A real disk that is full, read-only or damaged, under a working agent: told in words, nothing lost, and on it goes.

The full disk is a small tmpfs of its own, mounted and unmounted here. Where mounting is not permitted, the database
is given so few pages that SQLite says what it says of a full disk; the test's output names which of the two ran.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentnet_desktop.agent.events import StorageChanged
from agentnet_desktop.agent.timing import SECOND_MS
from agentnet_desktop.store.engine import Database
from agentnet_desktop.store.errors import Corrupt, DiskFull, ReadOnly, StoreError
from agentnet_desktop.store.opening import check
from tests.agent.conftest import WEEK, Peer, World, draft

SIZE = 3 * 1_048_576


class SmallDisk:
    """A folder on a disk of its own, which `fill` fills to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        """Leaves no room."""
        with self.ballast.open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                try:
                    while file.write(bytes(size)):
                        continue
                except OSError:
                    continue

    def free(self) -> None:
        """Makes room again."""
        self.ballast.unlink()

    def remount(self, mode: str) -> None:
        """Makes the disk read-only ("ro") or writable ("rw")."""
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)


class FewPages(SmallDisk):
    """Stands in for a small disk: the database may not grow."""

    peer: Peer

    def fill(self) -> None:
        self._limit(1)

    def free(self) -> None:
        self._limit(1_000_000)

    def _limit(self, pages: int) -> None:
        self.peer.db.write_sync(
            lambda s: s.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}").all()
        )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk; a real one where this process may mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "agentnet-test", str(folder)]
    mounted = (
        os.name == "posix"
        and os.geteuid() == 0
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )
    print("disk:", "a tmpfs of its own" if mounted else "a limit on the database's pages")
    try:
        yield SmallDisk(folder) if mounted else FewPages(folder)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def on_disk(world: World, disk: SmallDisk, agent_id: str) -> Peer:
    """Starts an agent whose database is on the small disk."""
    peer = Peer(world, agent_id)
    peer.path = disk.folder / f"{agent_id}.db"
    if isinstance(disk, FewPages):
        disk.peer = peer
    world.peers.append(peer)
    await peer.start()
    return peer


def problems(peer: Peer) -> list[str]:
    """Returns what the agent said of its storage, in order."""
    return [event.problem for event in peer.events if isinstance(event, StorageChanged)]


async def fill_up(peer: Peer, disk: SmallDisk) -> None:
    """Fills the disk, and what room the database still has within its own files."""
    disk.fill()
    for _ in range(400):
        try:
            await peer.agent.query("bob" if peer.agent_id == "alice" else "alice", "AVAILABILITY", WEEK)
        except DiskFull:
            return
    raise AssertionError("the disk never was full")


async def test_what_arrives_on_a_full_disk_is_not_receipted_and_is_there_when_room_is_back(
    world: World, disk: SmallDisk
) -> None:
    alice, bob = await world.add("alice"), await on_disk(world, disk, "bob")
    await world.befriend(alice, bob)
    world.relay.swallow("bob")  # what Bob writes to fill his disk goes nowhere
    await fill_up(bob, disk)
    world.relay.swallowed.clear()
    await alice.agent.propose(["bob"], draft("Lunch"))
    await world.settle()
    (row,) = [r for r in await alice.log() if r.message_type == "PROPOSAL"]
    assert row.state in ("IN_FLIGHT", "ROUTED")
    assert bob.arrivals() == []
    assert "is full" in problems(bob)[-1]
    await world.advance(30 * SECOND_MS)
    assert bob.arrivals() == []

    disk.free()
    await world.advance(60 * SECOND_MS)
    assert problems(bob)[-1] == ""
    assert len(bob.arrivals()) == 1
    (row,) = [r for r in await alice.log() if r.message_type == "PROPOSAL"]
    assert row.state == "DELIVERED"
    assert (await bob.agent.proof.verify()).intact
    await bob.stop()
    assert check(bob.path, bob.key) == []


async def test_what_cannot_be_stored_is_not_sent_and_says_so(world: World, disk: SmallDisk) -> None:
    alice, bob = await on_disk(world, disk, "alice"), await world.add("bob")
    await world.befriend(alice, bob)
    await fill_up(alice, disk)
    await world.advance(10 * SECOND_MS)
    seen = len(world.relay.seen)
    with pytest.raises(DiskFull, match="nothing new can be stored until there is room again"):
        await alice.agent.propose(["bob"], draft("x" * 100, description="long " * 300))
    assert "is full" in problems(alice)[-1]
    assert not [e for e in world.relay.seen[seen:] if e.content.get("originalType") == "PROPOSAL"]

    disk.free()
    await world.advance(10 * SECOND_MS)
    await alice.agent.propose(["bob"], draft("Dinner"))
    await world.advance(60 * SECOND_MS)
    assert [shown.title for shown in await bob.agent.proposals()] == ["Dinner"]
    assert problems(alice)[-1] == ""
    assert await alice.agent.outbox() == []
    assert (await alice.agent.proof.verify()).intact


async def test_a_full_disk_at_start_is_told(world: World, disk: SmallDisk) -> None:
    alice = await on_disk(world, disk, "alice")
    await alice.stop()
    if isinstance(disk, FewPages):
        return  # a limit on pages ends with its connection: the start is not touched by it
    disk.fill()
    with pytest.raises(StoreError, match=r"is full|cannot be written"):
        await alice.start()
    await alice.db.close()
    alice.running = False
    disk.free()
    await alice.start()
    assert (await alice.agent.proof.verify()).intact


async def test_a_disk_that_became_read_only_is_told(world: World, disk: SmallDisk) -> None:
    alice = await on_disk(world, disk, "alice")
    await alice.stop()
    if isinstance(disk, FewPages):
        return
    disk.remount("ro")
    try:
        with pytest.raises(ReadOnly, match="read-only"):
            Database.open(alice.path, alice.key, now_ms=world.clock)
        Database.open(alice.path, alice.key, now_ms=world.clock, read_only=True).close_sync()
    finally:
        disk.remount("rw")


async def copied_while_running(peer: Peer, to: Path) -> Path:
    """Copies database and write-ahead log as a power cut would leave them; returns the log's path."""
    shutil.copy(peer.path, to)
    side = to.with_name(to.name + "-wal")
    shutil.copy(peer.path.with_name(peer.path.name + "-wal"), side)
    return side


def cut(side: Path) -> None:
    side.write_bytes(side.read_bytes()[: -(4096 + 24) - 1_000])


def scramble(side: Path) -> None:
    data = bytearray(side.read_bytes())
    data[-3_000:-2_900] = os.urandom(100)
    side.write_bytes(data)


@pytest.mark.parametrize("harm", [cut, scramble])
async def test_a_half_written_log_of_writes_loses_only_what_was_not_committed(
    world: World, friends: tuple[Peer, Peer], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    alice, _ = friends
    await alice.agent.propose(["bob"], draft("Lunch"))
    await world.settle()
    copy = tmp_path / "copy.db"
    harm(await copied_while_running(alice, copy))
    before = len(await alice.log())
    await alice.stop()
    alice.path = copy
    await alice.start()
    await world.settle()
    assert check(copy, alice.key) == []
    assert len(await alice.log()) >= before - 3
    kinds = {problem.kind for problem in (await alice.agent.proof.verify()).problems}
    assert kinds <= {"RECEIPT_MISSING"}


def said_at_start(peer: Peer) -> str:
    """Opens the database; returns what was said of damage, or nothing."""
    try:
        Database.open(peer.path, peer.key, now_ms=peer.world.clock).close_sync()
    except Corrupt as error:
        return str(error)
    return ""


async def test_a_damaged_page_is_told_at_start_and_the_file_is_left_alone(
    world: World, friends: tuple[Peer, Peer]
) -> None:
    alice, _ = friends
    await alice.stop()
    whole = alice.path.read_bytes()
    told = 0
    for page in range(1, len(whole) // 4096):
        damaged = bytearray(whole)
        damaged[page * 4096 + 100 : page * 4096 + 164] = os.urandom(64)
        alice.path.write_bytes(damaged)
        words = said_at_start(alice)
        if words:
            told += 1
            assert "is damaged. It was left as it is" in words
            assert alice.path.read_bytes() == bytes(damaged)
        else:
            assert check(alice.path, alice.key) != []
    assert told > 5
