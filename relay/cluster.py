"""The NATS backplane: several relays as one (docs/self-hosting.md). The shell round `relay.nodes`.

Core NATS only: nothing is stored there. Commands of the core are written by one task, in order; what comes is
an event of the core, and nothing here waits for a client's socket. Every connection to NATS is a new client
with new subscriptions, so that nothing of an old one is sent late; what was under way when it broke is told
as unknown. Imported only where NATS is configured: the library takes 30 ms and some memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError

from relay.commands import Close, Command, Listen, Publish, Send
from relay.config import nats_servers, redacted
from relay.connection import Relay
from relay.nodes import Nodes
from relay.notes import LARGEST_NOTE, NOTES, agent_subject, back_number, back_subject, subject_agent
from relay.outcome import Outcome

_log = logging.getLogger(__name__)

CONNECT_LIMIT_S: Final = 5
_PING_S: Final = 10
_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts to come back; the last one for as long as it takes."""
_LEAVE_LIMIT_S: Final = 1
_NOBODY: Final = "503"  # the status by which NATS says that nobody listens
_COMPLAINT_MS: Final = 60_000


class ClusterError(Exception):
    """NATS cannot be used; one sentence for a person."""


class Cluster:
    """This relay's place among the others."""

    def __init__(
        self,
        relay: Relay,
        url: str,
        *,
        random: Callable[[int], bytes],
        now: Callable[[], int],
        start_task: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        """Build it; nothing is opened yet.

        Args:
            relay: what the connections here share.
            url: of the NATS servers, separated by commas; may hold a password, and is shown without it.
            random: gives that many random bytes.
            now: the clock of the connections, in ms.
            start_task: runs and keeps a task.
        """
        self._relay = relay
        self._servers = nats_servers(url)
        self._now = now
        self._start_task = start_task
        self._nodes = relay.nodes = Nodes(relay, random)
        self._client: Client | None = None
        self._listening: dict[str, Subscription] = {}
        self._out: deque[Publish | Listen] = deque()
        self._wake = asyncio.Event()
        self._others: frozenset[str] = frozenset()
        self._complained_at, self._complained_of = 0, 0
        self._is_leaving = False

    # --- the connection to NATS -------------------------------------------------------------------------

    async def join(self) -> None:
        """Connect to the first server that takes us, and announce this relay.

        Raises:
            ClusterError: none does.
        """
        problems = []
        for server in self._servers:
            try:
                self._client = await self._connect(server)
            except ClusterError as problem:
                problems.append(str(problem))
                continue
            self._relay.counters.nats_connected = 1
            self._out.extend(Listen(key) for key in self._relay.router.online)
            self._run(self._nodes.joined())
            _log.info(
                "NATS is there", extra={"fields": {"server": redacted(server), "node": self._nodes.node}}
            )
            return
        raise ClusterError(" ".join(problems))

    async def _connect(self, server: str) -> Client:
        client = Client()
        is_up = False

        async def on_error(problem: Exception) -> None:
            if not is_up:
                raise ClusterError(_words(problem))  # else nats-py would try the same server again
            await self._trouble(problem)

        async def on_closed() -> None:
            if is_up:
                self._lost(client)

        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await client.connect(
                    server,
                    name="agentnet-relay",
                    error_cb=on_error,
                    closed_cb=on_closed,
                    allow_reconnect=False,
                    connect_timeout=CONNECT_LIMIT_S,
                    ping_interval=_PING_S,
                    no_echo=True,
                )
                needed = max(self._relay.settings.max_message_bytes, LARGEST_NOTE)
                if client.max_payload < needed:
                    raise ClusterError(f"its max_payload must be at least {needed} bytes")
                await client.subscribe(NOTES, cb=self._on_note)
                await client.subscribe(back_subject(self._nodes.node, "*"), cb=self._on_answer)
                await client.flush(CONNECT_LIMIT_S)
        except Exception as problem:  # noqa: BLE001 - whatever answers at that port, it is one server that is no use
            with contextlib.suppress(Exception):  # it is given up, whatever it says to that
                await client.close()
            raise ClusterError(f"Cannot use NATS at {redacted(server)}: {_words(problem)}.") from None
        is_up = True
        return client

    def _lost(self, client: Client) -> None:
        """The connection is gone; come back."""
        if client is not self._client or self._is_leaving:
            return
        self._client = None
        self._listening.clear()
        self._out.clear()
        self._relay.counters.nats_connected = 0
        _log.warning("NATS is gone; agents at other relays cannot be reached until it is back")
        self._run(self._nodes.cut_off(self._now()))
        self._note_others()
        self._start_task(self._come_back(), "cluster-come-back")

    async def _come_back(self) -> None:
        attempt = 0
        while not self._is_leaving:
            await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1
            try:
                await self.join()
            except ClusterError as problem:
                _log.debug("%s", problem)
            else:
                return

    async def _trouble(self, problem: Exception) -> None:
        """nats-py reports what it has no other place for; what a callback raised, too."""
        if isinstance(problem, SlowConsumerError):
            _log.warning("messages from NATS came faster than they could be taken; some are lost")
            if problem.subject == NOTES and self._client is not None:
                await self._client.close()  # what they said is not known: begin anew
        elif isinstance(problem, Error | OSError):
            _log.info("NATS: %s", _words(problem))
        else:
            _log.error("a message from NATS could not be handled", exc_info=problem)

    # --- what comes -------------------------------------------------------------------------------------

    async def _on_note(self, msg: Msg) -> None:
        self._run(self._nodes.heard(msg.data, self._now()))
        self._note_others()

    async def _on_answer(self, msg: Msg) -> None:
        number, outcome = back_number(msg.subject), _outcome(msg)
        if number is None or outcome is None:
            self._relay.counters.malformed_notes_total += 1
            return
        self._run(self._nodes.answered(number, outcome, self._now()))

    async def _on_forward(self, msg: Msg) -> None:
        outcome, commands = self._nodes.asked(subject_agent(msg.subject), msg.data, self._now())
        self._run(commands)
        if outcome is not None and back_number(msg.reply) is not None:
            self.carry(Publish(msg.reply, outcome.value, ""))

    def ticked(self, now: int) -> None:
        """Half a second has passed."""
        if self._client is not None and self._client.is_closed:  # versions of nats-py do not always call back
            self._lost(self._client)
        self._run(self._nodes.ticked(now))
        self._note_others()
        malformed = self._relay.counters.malformed_notes_total
        if malformed > self._complained_of and now >= self._complained_at:
            _log.warning(
                "dropped what came over NATS and does not fit", extra={"fields": {"count": malformed}}
            )
            self._complained_at, self._complained_of = now + _COMPLAINT_MS, malformed

    def _note_others(self) -> None:
        others = self._nodes.others
        if others == self._others:
            return
        for node in others - self._others:
            _log.info("another relay is there", extra={"fields": {"node": node}})
        for node in self._others - others:
            _log.info("another relay is gone", extra={"fields": {"node": node}})
        self._others = frozenset(others)
        self._relay.counters.other_relays = len(others)

    # --- what leaves ------------------------------------------------------------------------------------

    def _run(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send(to=to, data=data):
                    to.link.send(data)
                case Close(to=to, code=code, reason=reason):
                    to.link.close(code, reason)
                case Publish() | Listen():
                    self.carry(command)

    def carry(self, command: Publish | Listen) -> None:
        """Have something written, after all that was before it."""
        if self._client is not None:
            self._out.append(command)
            self._wake.set()

    async def write(self) -> None:
        """Write what is carried, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write_all()
            except Exception:  # noqa: BLE001 - a fault of ours must not end all writing: begin anew instead
                _log.exception("writing to NATS failed")
                if self._client is not None:
                    await self._client.close()

    async def _write_all(self) -> None:
        while self._out and (client := self._client) is not None:
            command = self._out.popleft()
            try:
                if isinstance(command, Publish):
                    await client.publish(command.subject, command.data, command.reply)
                else:
                    await self._listen(client, command.key)
            except (Error, OSError) as problem:
                _log.debug("not written to NATS: %s", _words(problem))  # its loss is told by `_lost`

    async def _listen(self, client: Client, key: str) -> None:
        """Listen for an agent, or no longer, as it is connected now."""
        is_here = self._relay.router.find(key) is not None
        if is_here and key not in self._listening:
            self._listening[key] = await client.subscribe(agent_subject(key), cb=self._on_forward)
        elif not is_here and key in self._listening:
            await self._listening.pop(key).unsubscribe()

    async def leave(self) -> None:
        """Tell the others that this relay stops, and end the connection."""
        client, was_leaving = self._client, self._is_leaving
        self._is_leaving = True
        if client is None or was_leaving:
            return
        self._run(self._nodes.leaving())
        with contextlib.suppress(Error, OSError):
            async with asyncio.timeout(_LEAVE_LIMIT_S):
                await self._write_all()
                await client.flush(_LEAVE_LIMIT_S)
        self._client = None
        with contextlib.suppress(Error, OSError):
            async with asyncio.timeout(_LEAVE_LIMIT_S):
                await client.close()


def _outcome(msg: Msg) -> Outcome | None:
    """What an answer says; None for what is none."""
    if not msg.data and msg.headers is not None and msg.headers.get("Status") == _NOBODY:
        return Outcome.ABSENT
    try:
        return Outcome(msg.data)
    except ValueError:
        return None


def _words(problem: Exception) -> str:
    """What is wrong, in words of ours: those of a library might show an address with its password."""
    match problem:
        case ClusterError():
            return str(problem)
        case Error() if (
            "authorization" in str(problem).lower()
        ):  # nats-py has no class for it while connecting
            return "it refuses the user or password"
        case TimeoutError():
            return "it does not answer"
        case ConnectionRefusedError():
            return "connection refused"
        case OSError():
            return problem.strerror or "it cannot be reached"
        case _:
            return f"it reports a {type(problem).__name__}"
