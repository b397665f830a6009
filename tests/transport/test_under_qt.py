"""The same client on the window's loop: qasync instead of plain asyncio."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.processes import ROOT, RelayProcess

PROGRAM = """
import asyncio, os, sys
from PySide6.QtCore import QCoreApplication
from qasync import QEventLoop
from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.protocol.contact_link import parse_invite_link
from agentnet_desktop.transport.endpoint import parse_endpoint
from agentnet_desktop.transport.signals import State
from agentnet_desktop.transport.tokens import LocalTokens
from tests.transport.small_relay import Desk

async def main(url, link):
    tokens = LocalTokens(
        IdentityKey.from_seed(bytes(range(32))), agent_id="alice", audience=parse_endpoint(url).origin,
        random=os.urandom, enrolled=False, invite=parse_invite_link(link).invite,
    )
    desk = Desk(url)
    desk.client._tokens = tokens
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(desk.client.run())
        await desk.reaches(State.CONNECTED)
        await desk.until(lambda: desk.client.status.round_trip_ms is not None)
        await desk.client.stop()
    return desk.client.status.state

application = QCoreApplication([])
with QEventLoop(application) as loop:
    print(loop.run_until_complete(main(*sys.argv[1:])))
"""


def test_the_client_connects_and_says_goodbye_under_qts_loop(relay_process: RelayProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, relay_process.url, relay_process.invite_link],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "OFFLINE"), done.stderr
