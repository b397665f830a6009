"""The Relay page over the real relay process: life, guests, address, figures, and its end with the window."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting import settings_file
from agentnet_desktop.ui.hosting.ending import EndKind, ending
from agentnet_desktop.ui.hosting.figures import History, NotMetrics, Totals, ceiling, read_metrics
from agentnet_desktop.ui.hosting.guests import NotRows, Presence, read_agents, read_invites
from agentnet_desktop.ui.hosting.plan import (
    AddressFault,
    BadAddress,
    Plan,
    Reach,
    home_address,
    is_local_address,
    merged,
    pin_of,
    plan_of,
    public_origin,
    to_toml,
)
from agentnet_desktop.ui.hosting.reach import Probe, Step, probe
from agentnet_desktop.ui.hosting.relay_process import RelayFault, RelayProcess, RelayState
from agentnet_desktop.ui.hosting.service import recipe
from agentnet_desktop.ui.hosting.view import RelayPage
from agentnet_desktop.ui.hosting.words import certificate_line, probe_verdict
from agentnet_desktop.ui.keeper import Keeper
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.theme.tokens import Tone
from agentnet_desktop.ui.widgets.confirm import Confirmation
from tests.ui.conftest import snapshot, until

Run = Callable[[Coroutine[Any, Any, None]], None]
KEY = "MCowBQYDK2VwAyEAMCowBQYDK2VwAyEAMCowBQYDK2U="
SEEN = "2026-11-23T09:00:00Z info connection {} agent=bob connection={} from=10.0.0.0/24"
TOTALS = Totals(0, 0, 0, 0, 0, 0, 1, 0)


@asynccontextmanager
async def page(folder: Path, bridge: Bridge, qtbot: QtBot, *, port: int = 0) -> AsyncIterator[RelayPage]:
    """The page, shown, over a relay that is stopped at the end."""
    relay = RelayProcess(folder / "relay", bridge)
    preferences = Preferences(folder)
    preferences.relay_port = port
    made = RelayPage(bridge, relay, preferences)
    qtbot.addWidget(made)
    made.resize(900, 800)
    made.show()
    try:
        yield made
    finally:
        await relay.stopped()


async def started(shown: RelayPage, qtbot: QtBot) -> RelayProcess:
    qtbot.mouseClick(shown.start_button, Qt.MouseButton.LeftButton)
    await shown._relay.started()
    return shown._relay


# ------------------------------------------------------------------------------- the pure parts


def test_rates_come_from_the_difference_of_two_readings_and_never_fall_below_zero() -> None:
    history = History(kept=3)
    for at, messages in ((10.0, 5), (12.0, 25), (12.0, 99), (14.0, 20)):
        history.add(at, Totals(messages, 0, 2, 0, 0, 0, 1, 0))
    assert [point.rate for point in history.points] == [0, 10, 0]
    history.add(16.0, Totals(7, 0, 1, 0, 0, 0, 2, 0))  # the relay was started anew
    assert [(point.rate, point.connections) for point in history.points] == [(0, 1)]


@pytest.mark.parametrize("wrong", ["", "agentnet_relay_connections x", "agentnet_relay_connections 1"])
def test_a_page_that_is_no_metrics_is_refused(wrong: str) -> None:
    with pytest.raises(NotMetrics):
        read_metrics(wrong)


def test_the_scale_ends_at_a_round_number() -> None:
    assert [ceiling(value) for value in (0, 1, 1.5, 3, 22, 101)] == [1, 1, 2, 5, 50, 200]


def test_presence_follows_the_log_by_connection_and_remembers_when() -> None:
    presence = Presence()
    assert presence.read(SEEN.format("authenticated", "c1"), 1)
    assert presence.read(SEEN.format("authenticated", "c2"), 2)
    assert presence.read(SEEN.format("closed", "c1"), 3)
    assert presence.connected() == ("bob",)
    json_line = '{"level":"info","message":"connection lost","agent":"bob","connection":"c2"}'
    assert presence.read(json_line, 4)
    assert (presence.connected(), presence.last_seen("BOB")) == ((), 4)
    for nothing in ("listening on ws://x", "{", "[]", "x connection closed from=10.0.0.0/24"):
        assert not presence.read(nothing, 9)
    presence.read(SEEN.format("authenticated", "c3"), 5)
    presence.clear(6)
    assert (presence.is_connected("bob"), presence.last_seen("bob")) == (False, 6)


@pytest.mark.parametrize("output", ["x", "[]", "{}", '{"agentId":"a","revoked":false,"createdAt":"x"}'])
def test_lists_that_cannot_be_read_are_refused(output: str) -> None:
    with pytest.raises(NotRows):
        read_agents(output)
    with pytest.raises(NotRows):
        read_invites(output)


@pytest.mark.parametrize(
    ("plan", "origin"),
    [
        (Plan(8765, "n", address="ignored"), ""),
        (Plan(8765, "n", Reach.NETWORK, "192.168.1.10"), "wss://192.168.1.10:8765"),
        (Plan(8765, "n", Reach.NETWORK, "Home.example:9000"), "wss://home.example:9000"),
        (Plan(8765, "n", Reach.NETWORK, "10.0.0.1", self_signed=False), "ws://10.0.0.1:8765"),
        (Plan(8765, "n", Reach.NETWORK, "fd00::2"), "wss://[fd00::2]:8765"),
        (Plan(8765, "n", Reach.PROXY, "https://relay.example.org/"), "wss://relay.example.org:443"),
    ],
)
def test_what_a_host_types_becomes_the_address_in_links(plan: Plan, origin: str) -> None:
    assert public_origin(plan) == origin


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        (Plan(0, "n", Reach.NETWORK, "10.0.0.1"), AddressFault.NO_PORT),
        (Plan(1, "n", Reach.NETWORK, "  "), AddressFault.EMPTY),
        (Plan(1, "n", Reach.NETWORK, "localhost"), AddressFault.LOOPBACK),
        (Plan(1, "n", Reach.NETWORK, "0.0.0.0"), AddressFault.LOOPBACK),
        (Plan(1, "n", Reach.PROXY, "ws://relay.example.org"), AddressFault.UNENCRYPTED),
        (Plan(1, "n", Reach.PROXY, "relay.example.org/path"), AddressFault.MALFORMED),
        (Plan(1, "n", Reach.PROXY, "relay.example.org:99999"), AddressFault.MALFORMED),
        (Plan(1, "n", Reach.PROXY, "300.1.1.1"), AddressFault.MALFORMED),
        (Plan(1, "n", Reach.PROXY, "ftp://x.org"), AddressFault.MALFORMED),
    ],
)
def test_an_address_that_guests_cannot_use_is_refused_with_its_fault(plan: Plan, fault: AddressFault) -> None:
    with pytest.raises(BadAddress) as caught:
        public_origin(plan)
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    "plan",
    [
        Plan(8765, "n"),
        Plan(8765, "n", Reach.NETWORK, "wss://10.0.0.1:8765"),
        Plan(8765, "n", Reach.NETWORK, "ws://10.0.0.1:8765", self_signed=False),
        Plan(8765, "n", Reach.PROXY, "wss://relay.example.org:443"),
    ],
)
def test_a_plan_comes_back_out_of_the_file_and_other_keys_stay(plan: Plan, tmp_path: Path) -> None:
    mine = {"tls_self_signed": True, "drain": 2.5, "limits": {"connections": 7}}
    settings_file.accept(settings_file.write_candidate(tmp_path, merged(mine, plan)))
    read = settings_file.read(tmp_path)
    assert plan_of(read) == plan
    assert (read["drain"], read["limits"]) == (2.5, {"connections": 7})
    assert (tmp_path / settings_file.NAME).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_toml_is_told(tmp_path: Path) -> None:
    (tmp_path / settings_file.NAME).write_text("port = ")
    with pytest.raises(settings_file.SettingsFault, match="not TOML"):
        settings_file.read(tmp_path)
    with pytest.raises(settings_file.SettingsFault, match="cannot be written"):
        settings_file.write_candidate(tmp_path / settings_file.NAME, {})
    assert 'name = "a\\"\\u007f"' in to_toml({"name": 'a"\x7f'})


def test_only_an_unencrypted_loopback_address_is_local() -> None:
    local = ["ws://127.0.0.1:8765", "ws://localhost:1", "wss://127.0.0.1:1", "ws://10.0.0.1:1", "", "ws://[x"]
    assert [is_local_address(url) for url in local] == [True, True, False, False, False, False]


def test_a_host_whose_own_agent_would_lose_its_relay_is_warned(
    bridge: Bridge, tmp_path: Path, qtbot: QtBot
) -> None:
    bridge.snapshot = snapshot()
    shown = RelayPage(bridge, RelayProcess(tmp_path, bridge), Preferences(tmp_path))
    qtbot.addWidget(shown)
    address = shown.host.address
    address.reach.setCurrentIndex(address.reach.findData(Reach.NETWORK.value))
    address.address.setText("10.0.0.1")
    assert "connects again once you let it use this address" in address.problem.text()
    address.self_signed.setChecked(False)
    assert "contact links" in address.problem.text()


def test_the_home_network_s_address_is_proposed() -> None:
    assert home_address(["127.0.0.1", "fe80::1%lo", "172.17.0.1", "10.1.1.1", "192.168.1.7"]) == "192.168.1.7"
    assert home_address(["8.8.8.8", "::1"]) == ""


def test_last_words_are_those_of_the_trouble() -> None:
    taken = "agentnet-relay: Cannot listen on 127.0.0.1 port 1: Address already in use."
    assert ending([taken], code=1, crashed=False, ran=False).kind is EndKind.PORT_TAKEN
    refused = ending(["agentnet-relay: Bad setting."], code=1, crashed=False, ran=False)
    assert (refused.kind, refused.words) == (EndKind.REFUSED, "Bad setting.")
    assert ending(["x info all well"], code=9, crashed=True, ran=True).words == ""
    assert ending(["MemoryError"], code=1, crashed=False, ran=True).words == "MemoryError"


def test_the_recipe_quotes_for_systemd_and_for_the_shell(tmp_path: Path) -> None:
    lines = recipe(["/opt/py", "--name", 'My "100%" $relay'], tmp_path / "a b")
    assert 'ExecStart=/opt/py --name "My \\"100%%\\" $$relay"' in lines
    assert f"mkdir -p '{tmp_path}/a b'" in lines


def test_a_certificate_near_its_end_is_marked() -> None:
    day = 86_400
    assert [certificate_line(until, day * 1000)[1] for until in (0, day, 3 * day, 99 * day)] == [
        Tone.NEUTRAL,
        Tone.BAD,
        Tone.WARN,
        Tone.NEUTRAL,
    ]


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.REACHED])
@pytest.mark.parametrize("reach", [Reach.NETWORK, Reach.PROXY])
def test_every_failed_step_says_what_it_was(step: Step, reach: Reach) -> None:
    words, tone = probe_verdict(Probe(step, "the detail"), "wss://x:1", Plan(1, "n", reach, "x"))
    assert tone is Tone.BAD
    assert "wss://x:1" in words


# ------------------------------------------------------------------------------- the real relay


def test_start_shows_figures_and_stop_ends_in_order(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            relay = await started(shown, qtbot)
            await until(lambda: relay.metrics, "the metrics' address")
            shown.host.watch.ask()
            await until(lambda: shown.host.watch.history.points, "a point of the chart")
            assert "0 connections" in shown.host.traffic.chart.accessibleDescription()
            qtbot.mouseClick(shown.stop_button, Qt.MouseButton.LeftButton)
            await until(lambda: relay.state is RelayState.STOPPED, "the end")
            assert relay.ending is None
            assert shown.host.watch.history.points == ()

    run(scenario())


def test_a_relay_that_dies_is_told_and_waits_to_be_started_again(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            relay = await started(shown, qtbot)
            os.kill(relay.pid(), signal.SIGKILL)
            await until(lambda: relay.state is RelayState.STOPPED, "its death")
            assert "signal 9" in shown.host.notice.text()
            assert shown.host._state.word() == "Ended by itself"
            assert not shown.host.port_button.isVisible()
            qtbot.mouseClick(shown.host.again_button, Qt.MouseButton.LeftButton)
            await relay.started()
            assert not shown.host.notice.isVisible()

    run(scenario())


def test_a_taken_port_leads_to_another_one(run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot) -> None:
    async def scenario() -> None:
        other = RelayProcess(tmp_path / "other", bridge)
        other.start(port=0, name="Other")
        port = int((await other.started()).rsplit(":", 1)[1])
        async with page(tmp_path, bridge, qtbot, port=port) as shown:
            qtbot.mouseClick(shown.start_button, Qt.MouseButton.LeftButton)
            await until(lambda: shown.host.notice.text(), "the sentence")
            assert "in use" in shown.host.notice.text()
            qtbot.mouseClick(shown.host.port_button, Qt.MouseButton.LeftButton)
            assert shown.host.address.port.isVisible()
        await other.stopped()

    run(scenario())


def test_a_folder_that_cannot_be_used_is_named(run: Run, tmp_path: Path, theme: ThemeSwitch) -> None:
    async def scenario() -> None:
        (tmp_path / "file").write_text("")
        relay = RelayProcess(tmp_path / "file" / "relay")
        relay.start(port=0, name="x")
        with pytest.raises(RelayFault, match="data folder"):
            await relay.started()
        with pytest.raises(RelayFault, match="data folder"):  # asked too late, told all the same
            await relay.started()

    run(scenario())


def test_guests_are_shut_out_and_let_in_and_invites_withdrawn(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            relay = await started(shown, qtbot)
            await relay.command("agents", "add", "bob", "--identity-key", KEY)
            guests = shown.host.guests
            shown.host.tabs.setCurrentIndex(1)
            await until(lambda: guests.agents and guests.invites, "the lists")
            guests._ask_shut_out("bob")
            asking = shown.findChild(Confirmation) or shown.window().findChild(Confirmation)
            assert isinstance(asking, Confirmation)
            qtbot.mouseClick(asking.yes, Qt.MouseButton.LeftButton)
            await until(lambda: guests.agents[0].revoked, "bob's end")
            guests._admit(guests.agents[0])
            await until(lambda: not guests.agents[0].revoked, "bob's return")
            guests._withdraw(guests.invites[0].handle)
            await until(lambda: guests.invites[0].state == "revoked", "the withdrawal")

    run(scenario())


def test_a_backup_is_written_once_and_never_over_a_file(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            await started(shown, qtbot)
            keep = shown.host.keep
            shown.host.tabs.setCurrentIndex(3)
            await until(lambda: keep._limits.rowCount(), "the limits")
            copy = tmp_path / "copy.sqlite"
            keep.path.set_path(copy)
            qtbot.mouseClick(keep.back_up, Qt.MouseButton.LeftButton)
            await until(lambda: "Copied" in keep.notice.text(), "the word that it is done")
            assert copy.exists()
            keep.path.set_path(copy)
            assert not keep.back_up.isEnabled()

    run(scenario())


def test_a_self_signed_relay_is_pinned_in_its_links_and_reached(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            relay = await started(shown, qtbot)
            address = shown.host.address
            shown.host.tabs.setCurrentIndex(2)
            address.reach.setCurrentIndex(address.reach.findData(Reach.NETWORK.value))
            address.address.setText("127.0.0.1")
            address.port.setValue(int(relay.address.rsplit(":", 1)[1]))
            assert not address.save.isEnabled()
            address.address.setText("10.255.255.1")
            qtbot.mouseClick(address.save, Qt.MouseButton.LeftButton)
            await until(lambda: relay.address.startswith("wss://"), "the restart")
            qtbot.mouseClick(shown.invite_button, Qt.MouseButton.LeftButton)
            await until(lambda: len(pin_of(shown.invite.line.text())) == 64, "a link with its pin")
            assert "10.255.255.1" in shown.invite.line.text()
            certificate = await asyncio.to_thread(address_certificate, tmp_path / "relay")
            here = f"wss://127.0.0.1:{address.port.value()}"
            assert (await asyncio.to_thread(probe, here, certificate)).step is Step.REACHED
            assert (await asyncio.to_thread(probe, here, b"another")).step is Step.CERTIFICATE
            assert (await asyncio.to_thread(probe, here)).step is Step.CERTIFICATE
            keeper = Recorder()
            bridge.keeper = cast(Keeper, keeper)
            bridge.snapshot = snapshot()
            address._render()
            qtbot.mouseClick(address.follow, Qt.MouseButton.LeftButton)
            await until(lambda: keeper.moves, "the move of the own agent")
            ((link, insecure),) = keeper.moves
            assert (len(pin_of(link)), insecure) == (64, False)
            assert "10.255.255.1" in link

    run(scenario())


class Recorder:
    """Stands for who looks after the own profile, and remembers its moves."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, bool]] = []

    async def move(self, invite: str, *, insecure: bool) -> None:
        self.moves.append((invite, insecure))


def address_certificate(folder: Path) -> bytes:
    from agentnet_desktop.ui.hosting.address_view import own_certificate

    return own_certificate(folder)


def test_settings_that_the_relay_refuses_leave_the_old_ones(
    run: Run, tmp_path: Path, theme: ThemeSwitch
) -> None:
    async def scenario() -> None:
        relay = RelayProcess(tmp_path)
        await relay.write_settings({"port": 1234})
        with pytest.raises(RelayFault, match="port"):
            await relay.write_settings({"port": 99999})
        assert settings_file.read(tmp_path) == {"port": 1234}

    run(scenario())
    assert [path.name for path in tmp_path.iterdir()] == [settings_file.NAME]


def test_closing_asks_only_while_others_are_connected(
    run: Run, tmp_path: Path, bridge: Bridge, qtbot: QtBot
) -> None:
    async def scenario() -> None:
        async with page(tmp_path, bridge, qtbot) as shown:
            relay = await started(shown, qtbot)
            assert shown.ask_before_quit(tray=False) is None
            relay.wrote.emit(SEEN.format("authenticated", "c1"))
            question = shown.ask_before_quit(tray=False)
            assert question is not None
            assert not question.tray.isVisible()
            answers: list[str] = []
            question.quit_wanted.connect(lambda: answers.append("quit"))
            qtbot.keyClick(question, Qt.Key.Key_Escape)
            assert answers == []

    run(scenario())


_WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from agentnet_desktop.ui.hosting.relay_process import RelayProcess
application = QCoreApplication([])
relay = RelayProcess(Path(sys.argv[1]))
relay.listening.connect(lambda _address: print(relay.pid(), flush=True))
relay.start(port=0, name="x")
application.exec()
"""


def test_the_relay_does_not_outlive_a_window_that_is_killed(run: Run, tmp_path: Path) -> None:
    window = subprocess.Popen(
        [sys.executable, "-c", _WINDOW, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert window.stdout is not None
    with window.stdout:
        relay = int(window.stdout.readline())
    window.kill()
    window.wait()

    async def scenario() -> None:
        await until(lambda: not alive(relay), "the relay's end")

    run(scenario())


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
