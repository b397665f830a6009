"""Two agents and a relay as processes, one of which is killed again and again, and what must hold in the end.

`perform` runs a list of kills while the agents write to each other; `examine` opens what is left on disk and says
what is wrong with it. The moments are drawn from a seed, which whoever performs prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from agentnet_desktop.agent.events import Direction, LogRow, ProposalView
from agentnet_desktop.audit.compare import compare_files
from agentnet_desktop.compose import Holder, open_profile
from agentnet_desktop.store.models import OwnQueryModel
from tests.end_to_end.crash_worker import accepts
from tests.end_to_end.people import PASSPHRASE, acquaint, new_person
from tests.end_to_end.stages import HANDSHAKES, OUTGOING
from tests.processes import ROOT, Lines, RelayProcess, end

NAMES = ("alice", "bob")
RELAY = "relay"
LIMIT_S = 90.0
ALL_KINDS = 4  # so many items of each agent make every kind of message pass in both directions
_ANSWERS = {"QUERY": ("RESPONSE",), "PROPOSAL": ("CONFIRMATION", "REJECTION")}


@dataclass(frozen=True)
class Kill:
    """One death: who, and at which stage after how many passages; without a stage, somebody else's hand."""

    victim: str
    stage: str = ""
    passages: int = 0


@dataclass
class AgentProcess:
    """An agent that can be killed and started again; keeps what all its lives have said."""

    name: str
    folder: Path
    process: subprocess.Popen[str] | None = None
    lines: Lines | None = None
    said: list[str] = field(default_factory=list)
    deaths: int = 0

    @property
    def peer(self) -> str:
        return NAMES[1 - NAMES.index(self.name)]

    def start(self) -> None:
        """Start it and wait until it takes orders."""
        command = [sys.executable, "-m", "tests.end_to_end.crash_worker", str(self.folder), self.peer]
        with self._complaints.open("a") as complaints:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                bufsize=1,
            )
        assert self.process.stdout is not None
        self.lines = Lines(self.process.stdout)
        self.until("^ready$")

    @property
    def _complaints(self) -> Path:
        return self.folder.with_suffix(".stderr")

    def complaints(self) -> str:
        """What all lives wrote to standard error."""
        return self._complaints.read_text()

    def order(self, line: str) -> None:
        """Give an order; one who is dead already hears nothing."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")

    def until(self, pattern: str) -> str:
        assert self.lines is not None
        return self.lines.until(pattern, LIMIT_S).group()

    def settled_or_dead(self, number: int) -> bool:
        """Wait until N items are settled, or this life has ended; True when it has ended."""
        try:
            self.until(f"^settled {number}$")
        except EOFError:
            return True
        except TimeoutError:
            raise AssertionError(f"{self.name} does not settle {number}: {self.report()}") from None
        return False

    def report(self) -> str:
        """Have it say what it waits for."""
        self.order("report")
        return self.until("^report .*")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def bury(self) -> None:
        """Take in the last words of a life that has ended."""
        assert self.process is not None
        assert self.lines is not None
        self.process.wait(LIMIT_S)
        self.said += self.lines.rest().splitlines()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.deaths += 1

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(LIMIT_S)
        status = end(self.process)
        self.bury()
        return status


class Show:
    """The stage: a relay, Alice and Bob, who know each other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.relay = RelayProcess(folder / "relay")
        self.agents = {name: AgentProcess(name, folder / name) for name in NAMES}
        self.hit: Counter[str] = Counter()
        self.items = 0
        self.messages = 0  # that both wrote, as counted in the end
        self._ticks = 0
        self._random = random.Random(seed)

    def prepare(self) -> None:
        """What comes before the relay starts."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Relay and agents, acquainted and at work; ended whatever happens."""
        self.prepare()
        self.relay.start()
        try:
            self.connect()
            asyncio.run(self._acquaint())
            for agent in self.agents.values():
                agent.start()
            yield
        except AssertionError as error:
            others = [f"\n{agent.name}: {agent.report()}" for agent in self.agents.values()]
            raise AssertionError(f"{error}{''.join(others)}") from error
        finally:
            for agent in self.agents.values():
                if agent.process is not None:
                    end(agent.process)
            self.relay.stop()

    def connect(self) -> None:
        """What stands between relay and agents."""

    async def _acquaint(self) -> None:
        async with (
            new_person(self.folder / "alice", "alice", self.relay.invite_link) as alice,
            new_person(self.folder / "bob", "bob", self.relay.invite("--agent-id", "bob")) as bob,
        ):
            await alice.connected()
            await bob.connected()
            await acquaint(alice, bob)

    def perform(
        self, kills: Sequence[Kill], items: int, tell: Callable[[str], None] = lambda _line: None
    ) -> None:
        """Carry out the kills while each agent writes `items` items, then let everything come to rest.

        Args:
            kills: in this order.
            items: how many each agent writes: half of them queries, half proposals; a kill whose stage does not
                come has more written.
            tell: gets a line for each kill.
        """
        for number, kill in enumerate(kills, 1):
            started = time.monotonic()
            self._grant(max(self.items, items * number // (len(kills) + 1)))
            if kill.victim == RELAY:
                self._kill_relay()
            elif kill.stage:
                self._kill_at_stage(kill)
            else:
                self._kill_by_hand(kill)
            self.hit[kill.stage or "by hand"] += 1
            took = time.monotonic() - started
            tell(
                f"{number}: {kill.victim} {kill.stage or 'by hand'}, {took:.1f} s, {self.items} items granted to each"
            )
        self._grant(max(self.items, items))
        for agent in self.agents.values():
            if agent.settled_or_dead(self.items):
                raise AssertionError(f"{agent.name} ended by itself:\n{agent.complaints()}")
        for agent in self.agents.values():
            status = agent.stop()
            assert status == 0, f"{agent.name} ended with {status}:\n{agent.complaints()}"

    def _grant(self, items: int) -> None:
        self.items = items
        for agent in self.agents.values():
            agent.order(f"upto {items}")

    def _kill_at_stage(self, kill: Kill) -> None:
        victim = self.agents[kill.victim]
        victim.order(f"die {kill.stage} {kill.passages}")
        kind, _, moment = kill.stage.partition("/")
        begins = (moment in OUTGOING) == (kind in ("HANDSHAKE", "CONFIRMED"))
        initiator = victim if begins else self.agents[victim.peer]
        if kind in HANDSHAKES:
            initiator.order("rotate")
        self._grant(self.items + ALL_KINDS)
        while not victim.settled_or_dead(self.items):
            self._grant(self.items + ALL_KINDS)
            if kind in HANDSHAKES:  # one that was under way already has swallowed the first
                initiator.order("rotate")
        victim.bury()
        assert victim.said[-1] == f"dying {kill.stage}", (
            f"{victim.name} ended by itself:\n{victim.complaints()}"
        )
        victim.start()
        victim.order(f"upto {self.items}")

    def _kill_by_hand(self, kill: Kill) -> None:
        """Kill an agent from outside, at a moment that has nothing to do with its own steps."""
        victim = self.agents[kill.victim]
        self._await_tick(victim)
        victim.kill()
        victim.bury()
        victim.start()
        victim.order(f"upto {self.items}")

    def _kill_relay(self) -> None:
        self._await_tick(self.agents[self._random.choice(NAMES)])
        self.relay.restart()

    def _await_tick(self, agent: AgentProcess) -> None:
        self._ticks += 1
        agent.order(f"tick {self._random.randrange(1, 30)} {self._ticks}")
        self._grant(self.items + 2)
        agent.until(f"^tick {self._ticks}$")

    # --------------------------------------------------------------------------------------- the end

    def examine(self) -> list[str]:
        """Returns what is wrong in the end; nothing, when nothing was lost, shown or acted on twice."""
        return asyncio.run(self._examine())

    async def _examine(self) -> list[str]:
        wrong: list[str] = []
        sides: dict[str, Side] = {}
        for name, agent in self.agents.items():
            holder = await open_profile(agent.folder, passphrase=PASSPHRASE)
            try:
                sides[name] = side = await read_side(holder, agent, self.folder / f"{name}.jsonl")
                wrong += side.wrong(self.items)
            finally:
                await holder.close()
        self.messages = sum(side.messages for side in sides.values())
        for name, side in sides.items():
            wrong += side.against(sides[self.agents[name].peer])
        first, second = (self.folder / f"{name}.jsonl" for name in NAMES)
        wrong += [f"the logs differ: {found.sentence}" for found in compare_files(first, second)]
        return wrong


@dataclass
class Side:
    """What one agent has on disk in the end."""

    agent: AgentProcess
    rows: list[LogRow]
    proposals: list[ProposalView]
    queries: list[tuple[int, str]]  # number, state
    waiting: int
    intact: bool
    problem: str

    def wrong(self, items: int) -> list[str]:
        """What is wrong by itself."""
        name = self.agent.name
        found = [f"{name} wrote to standard error: {self.agent.complaints()}"] * bool(self.agent.complaints())
        found += [f"{name}'s log is broken: {self.problem}"] * (not self.intact)
        found += [f"{name} has {self.waiting} messages that are not delivered"] * bool(self.waiting)
        found += [
            f"{name}: {row.state}: {row.summary}"
            for row in self.rows
            if row.state in ("FAILED", "EXPIRED", "REFUSED")
        ]
        written = Counter(number for number, _ in self.queries)
        written.update(self.number(view) for view in self.proposals if view.direction is Direction.OUT)
        found += [f"{name} wrote item {n} {written[n]} times" for n in range(items) if written[n] != 1]
        found += [
            f"{name}'s query {number} is {state}" for number, state in self.queries if state != "ANSWERED"
        ]
        for view in self.proposals:
            if view.state != ("ACCEPTED" if accepts(self.number(view)) else "REJECTED"):
                found.append(f"{name} holds {view.ref} as {view.state}: {view.reason} {view.note}")
        shown = Counter(line.split()[1] for line in self.agent.said if line.startswith("shown "))
        found += [f"{name} was shown {ref} {times} times" for ref, times in shown.items() if times > 1]
        return found

    @staticmethod
    def number(view: ProposalView) -> int:
        return int(view.title.split()[1])

    def against(self, peer: Side) -> list[str]:
        """What does not fit what the peer has: every message taken once, every question answered once."""
        found = []
        sent = Counter(
            row.message_id for row in self.rows if row.encrypted and row.direction is Direction.OUT
        )
        taken = Counter(row.message_id for row in peer.rows if row.encrypted and row.state == "RECEIVED")
        found += [
            f"{peer.agent.name} never took {one} of {self.agent.name}" for one in sent.keys() - taken.keys()
        ]
        found += [f"{peer.agent.name} took {one} {times} times" for one, times in taken.items() if times > 1]
        for asked, answers in _ANSWERS.items():
            questions, replies = self.ids(asked), peer.ids(*answers)
            if len(questions) != len(replies):
                found.append(
                    f"{self.agent.name} asked {len(questions)} x {asked}, got {len(replies)} answers"
                )
        mine = {view.proposal_id: view.state for view in self.proposals if view.direction is Direction.OUT}
        theirs = {view.proposal_id: view.state for view in peer.proposals if view.direction is Direction.IN}
        found += [
            f"the sides disagree on {one}"
            for one in mine.keys() | theirs.keys()
            if mine.get(one) != theirs.get(one)
        ]
        return found

    def ids(self, *types: str) -> set[str]:
        """The messages of these types that this agent sent."""
        return {
            row.message_id
            for row in self.rows
            if row.message_type in types and row.direction is Direction.OUT
        }

    @property
    def messages(self) -> int:
        return len(self.ids("QUERY", "RESPONSE", "PROPOSAL", "CONFIRMATION", "REJECTION"))


async def read_side(holder: Holder, agent: AgentProcess, export: Path) -> Side:
    """Reads what one agent has on disk, verifies its log and exports it."""
    made = holder.agent
    rows: list[LogRow] = []
    while page := await made.log.page("", after_seq=rows[-1].seq if rows else 0, limit=1000):
        rows += page
    report = await made.log.verify(identity_key=holder.vault.identity.public)
    await made.proof.export(export)
    found = await holder.database.read(
        lambda session: session.execute(select(OwnQueryModel.parameters, OwnQueryModel.state)).all()
    )
    return Side(
        agent=agent,
        rows=rows,
        proposals=await made.proposals(),
        queries=[(parameters["number"], state) for parameters, state in found],
        waiting=len(await made.outbox()),
        intact=report.intact,
        problem="" if report.first_bad is None else report.first_bad.sentence,
    )
