"""Which mode judges a token, off the event loop (docs/protocol.md 11).

Each mode has one thread of its own, so that a key server that does not answer holds up no other mode. Every
refusal is answered after the same time and, by the connection, in the same words.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from relay.auth.grant import Grant
from relay.auth.registry import RegistryError
from relay.auth.tokens import Mode, Refused, split

_log = logging.getLogger(__name__)


class Gate:
    """The modes that a relay offers."""

    def __init__(self, modes: Sequence[Mode], *, refusal_delay_s: float) -> None:
        """Build it.

        Args:
            modes: in order; the first that recognises a token judges it.
            refusal_delay_s: when a refusal is told, counted from the question.
        """
        self._modes = list(modes)
        self._threads = {mode.name: ThreadPoolExecutor(1, f"relay-auth-{mode.name}") for mode in modes}
        self._delay = refusal_delay_s

    async def verify(self, text: str, agent_id: str, invite: str | None, now: int) -> Grant | None:
        """Judge a token.

        Args:
            text: the token.
            agent_id: the agentId asked for, or "".
            invite: an invite code that came beside the token, or None.
            now: ms since the Unix epoch.

        Returns:
            What it gives, or None.
        """
        loop = asyncio.get_running_loop()
        answer_at = loop.time() + self._delay
        try:
            token = split(text)
            mode = next((mode for mode in self._modes if mode.recognises(token)), None)
            if mode is None:
                raise Refused("no mode takes such a token")
            thread = self._threads[mode.name]
            return await loop.run_in_executor(thread, mode.verify, token, agent_id, invite, now)
        except Refused as reason:
            _log.info("token refused: %s", reason)
        except (RegistryError, sqlite3.Error) as problem:
            _log.error("the registry cannot be used: %s", problem)
        await asyncio.sleep(answer_at - loop.time())
        return None

    def close(self) -> None:
        """End the threads; what they still judge is dropped."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
