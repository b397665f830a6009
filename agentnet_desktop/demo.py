"""The demo: a relay, Alice in the window and Bob as a second real agent, all on this machine.

Everything lies in one temporary folder that is removed at the end: both profiles with vault files under a
passphrase made for this run, and the relay's data. Nothing is faked: the relay is its own process, Bob has his own
keys, database and connection. With no display the whole way is gone unattended, and the accept button is clicked as
a mouse would.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentnet_desktop.agent.agent import Agent
    from agentnet_desktop.agent.events import Event, LogRow, ProposalView
    from agentnet_desktop.compose import Holder
    from agentnet_desktop.ui.profiles import Profiles
    from agentnet_desktop.ui.session import Session

_LIMIT_S = 90.0
_STEP_S = 30.0
_PAUSE_S = 0.02
_OUTPUT = Path("demo-output")


class DemoFailed(Exception):
    """A step did not come to its end; the text says which."""


def run_demo(*, screenshots: Path | None, watched: bool) -> int:
    """Run the demo.

    Args:
        screenshots: Where pictures go; None is `demo-output`, and only when nobody watches.
        watched: A person sits before it and decides about Bob's proposal; the demo lasts until they close it.

    Returns:
        The exit code: 0 when everything came to its end, 1 otherwise.
    """
    from agentnet_desktop.app import application
    from agentnet_desktop.ui.preferences import Preferences
    from agentnet_desktop.ui.session import Session
    from agentnet_desktop.ui.theme.current import ThemeSwitch

    qt = application()
    pictures = screenshots or (None if watched else _OUTPUT)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="agentnet-demo-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        preferences = Preferences(root / "alice")
        theme = ThemeSwitch(qt, preferences.theme)
        demo = _Demo(root, pictures, watched=watched)
        session = Session(root / "alice", theme, preferences, demo.load)
        demo.session = session
        session.show(minimized=False)
        qt.processEvents()
        from agentnet_desktop.ui.loop import WindowLoop

        loop = WindowLoop(qt)
        asyncio.set_event_loop(loop)
        with loop:
            loop.run_until_complete(demo.run(session))
        demo.say_end()
    return 0 if demo.done or (watched and not demo.trouble) else 1


class _Demo:
    """The cast and the play."""

    def __init__(self, root: Path, pictures: Path | None, *, watched: bool) -> None:
        self._root = root
        self._pictures = pictures
        self._watched = watched
        self._passphrase = secrets.token_urlsafe(18)
        self._bob: Holder | None = None
        self._free: list[int] = []
        self.session: Session | None = None
        self.trouble = ""
        self.done = False

    # ------------------------------------------------------------------------------- the stage

    async def load(self) -> Profiles:
        """Start the relay and make both profiles, while the frame is on the screen already."""
        from agentnet_desktop.app import load_profiles

        profiles = await load_profiles()
        relay = self.session.relay if self.session is not None else None
        if relay is None:
            raise DemoFailed("the window has no relay")
        relay.start(port=0, name="Demo relay")
        address = await relay.started()
        _say(f"relay      {address} (process {relay.pid()})")
        for name in ("alice", "bob"):
            await self._make(name, await relay.invite())
        words = self._passphrase

        async def open_profile(root: Path, _words: str | None, *, accept_backend: bool = False) -> Holder:
            from agentnet_desktop import compose

            return await compose.open_profile(root, passphrase=words, accept_backend=accept_backend)

        return replace(profiles, open=open_profile)

    async def _make(self, name: str, invite: str) -> None:
        from agentnet_desktop import compose
        from agentnet_desktop.vault.kdf import Kdf

        info = await compose.create_profile(
            self._root / name,
            agent_id=name,
            invite=invite,
            key_store="file",
            passphrase=self._passphrase,
            kdf=Kdf.weak(),  # the profile lives for a minute, under a random passphrase
        )
        _say(f"{name:<10} {info.fingerprint}")

    async def run(self, session: Session) -> None:
        """Play, then end; unattended the window closes by itself."""
        from agentnet_desktop.agent.tasks import Tasks

        tasks = Tasks(report=self._failed)
        session.bridge.log_appended.connect(self._print_rows)
        session.bridge.command_failed.connect(lambda sentence: _say(f"window     {sentence}"))
        tasks.start(self._play(session), name="the play")
        try:
            await session.run()
        finally:
            await tasks.cancel_all()
            if self._bob is not None:
                await self._bob.close()

    def _failed(self, _name: str, error: BaseException) -> None:
        self.trouble = str(error) or type(error).__name__
        if self.session is not None and not self._watched:
            self.session.close()

    def say_end(self) -> None:
        """Print how it ended."""
        if self.trouble:
            print(f"agentnet-desktop: the demo stopped: {self.trouble}", file=sys.stderr)
        elif self.done and self._pictures is not None:
            _say(f"pictures   {self._pictures.resolve()}")

    def _print_rows(self, rows: tuple[LogRow, ...]) -> None:
        from agentnet_desktop.agent.display import visible

        for row in rows:
            moment = datetime.fromtimestamp(row.time / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
            lock = "sealed" if row.encrypted else "clear "
            peer = visible(row.peer or "here", 12)
            words = visible(row.summary, 100)
            print(
                f"{moment}  {row.direction.value:<5} {peer:<8} {row.message_type:<12} {lock}  {words}",
                flush=True,
            )

    # ------------------------------------------------------------------------------- the play

    async def _play(self, session: Session) -> None:
        async with asyncio.timeout(None if self._watched else _LIMIT_S):
            await _until(lambda: session.bridge.snapshot is not None, "Alice's window never had its agent")
            await self._exchange_links(session)
            await self._first_meeting(session)
            proposal = await self._bob_proposes()
            await self._decide(session, proposal)
        self.done = True
        _say("done       both meetings are agreed, and every message is in the log")
        if not self._watched:
            session.close()

    async def _exchange_links(self, session: Session) -> None:
        from agentnet_desktop import compose

        self._bob = bob = await compose.open_profile(self._root / "bob", passphrase=self._passphrase)
        bob.agent.subscribe(self._bob_hears)
        await bob.start()
        if not await bob.agent.wait_connected(_STEP_S):
            raise DemoFailed("Bob did not reach the relay")
        link = await bob.agent.create_contact_link()
        alice = _agent(session)
        await alice.wait_connected(_STEP_S)
        await alice.add_contact(link.link, name="Bob")
        if await alice.wait_contact("bob", _STEP_S) is None:
            raise DemoFailed("the handshake with Bob was not answered")
        _say("contacts   Alice used Bob's link; both have keys")

    def _bob_hears(self, event: Event) -> None:
        from agentnet_desktop.agent.events import Direction, ProposalChanged

        bob = self._bob
        if bob is None or not isinstance(event, ProposalChanged) or not event.arrived or self.session is None:
            return
        if event.view.direction is Direction.IN:
            ref = event.view.ref
            self.session.bridge.work(lambda: bob.agent.accept(ref), name="Bob accepts", owner=self.session)

    async def _first_meeting(self, session: Session) -> None:
        """Alice asks when Bob is free, and proposes; Bob's agent accepts."""
        from agentnet_desktop.agent.drafts import ProposalDraft
        from agentnet_desktop.ui.text import local_zone_name

        alice, hour = _agent(session), 3_600_000
        today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        found = await alice.suggest_times(
            ["bob"],
            start=_ms(today + timedelta(days=1)),
            end=_ms(today + timedelta(days=6)),
            minutes=60,
            time_zone=local_zone_name(),
            timeout_s=_STEP_S,
        )
        if not found.starts:
            raise DemoFailed("Bob's agent did not say when he is free")
        starts = self._free = list(found.starts)
        draft = ProposalDraft(
            title="Coffee and the project plan",
            start=_iso(starts[0]),
            end=_iso(starts[0] + hour),
            time_zone=local_zone_name(),
            location="Blue Bottle Coffee",
            meeting_type="COFFEE",
        )
        (sent,) = await alice.propose(["bob"], draft)
        agreed = await alice.wait_proposal(sent.ref, _STEP_S)
        if agreed is None or agreed.state != "ACCEPTED":
            raise DemoFailed("Bob did not accept Alice's proposal")

    async def _bob_proposes(self) -> ProposalView:
        from agentnet_desktop.agent.drafts import ProposalDraft
        from agentnet_desktop.agent.events import Slot

        bob, hour = self._bob, 3_600_000
        if bob is None:
            raise DemoFailed("Bob is gone")
        start = self._free[0] + 3 * hour
        draft = ProposalDraft(
            title="Design review",
            start=_iso(start),
            end=_iso(start + hour),
            time_zone="America/New_York",
            description="Half an hour on the open questions, the rest on what comes next.",
            location="Room 4",
            address="12 Harbour Street",
            expires_at=time.time_ns() // 1_000_000 + 6 * hour,
            alternatives=(Slot(start + 24 * hour, start + 25 * hour),),
        )
        (sent,) = await bob.agent.propose(["alice"], draft)
        return sent

    async def _decide(self, session: Session, proposal: ProposalView) -> None:
        """Alice decides in the dialog: a person's hand where there is one, a simulated mouse otherwise."""
        bob = self._bob
        if bob is None:
            raise DemoFailed("Bob is gone")
        await _until(
            lambda: session.window.dialog is not None, "the proposal dialog did not open", self._watched
        )
        dialog = session.window.dialog
        if self._watched:
            _say("waiting    Bob proposes a meeting: decide in the window; close it to end the demo")
        elif dialog is not None:
            accept = dialog.widget.accept_button
            await _until(accept.isEnabled, "the accept button did not arm")
            from agentnet_desktop.ui.gallery import click, take_pictures

            if self._pictures is not None:
                await take_pictures(session.window, self._pictures)
            await _until(accept.isEnabled, "the accept button did not arm again")
            click(accept)
        answered = await bob.agent.wait_proposal(proposal.ref, 86_400 if self._watched else _STEP_S)
        if answered is None or (answered.state != "ACCEPTED" and not self._watched):
            raise DemoFailed("Bob did not hear that Alice accepted")
        _say(f"decision   Bob's agent heard: {answered.state}")
        await _until_delivered(session)
        if not self._watched and dialog is not None:
            await _until(lambda: not dialog.widget.waits, "the dialog did not show the decision")
            dialog.close()


async def _until_delivered(session: Session) -> None:
    """Wait until nothing of Alice's waits for a receipt, so that the log shows the end too."""
    deadline = time.monotonic() + _STEP_S
    while await _agent(session).outbox():
        if time.monotonic() > deadline:
            raise DemoFailed("Alice's answer was not acknowledged")
        await asyncio.sleep(_PAUSE_S)


def _agent(session: Session) -> Agent:
    agent = session.bridge.agent
    if agent is None:
        raise DemoFailed("Alice's agent is gone")
    return agent


async def _until(true: Callable[[], bool], problem: str, patient: bool = False) -> None:
    """Wait until something is so; the window's own events decide when, this only looks."""
    deadline = time.monotonic() + _STEP_S
    while not true():
        if not patient and time.monotonic() > deadline:
            raise DemoFailed(problem)
        await asyncio.sleep(_PAUSE_S)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000).astimezone().isoformat()


def _say(words: str) -> None:
    print(f"-- {words}", flush=True)
