"""The relay's limits, its folder and its back-up: what a host looks at seldom. Limits come from `config print`."""

from __future__ import annotations

import asyncio
import tomllib

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFormLayout, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting.plan import Limit, limits_of
from agentnet_desktop.ui.hosting.relay_process import RelayFault, RelayProcess
from agentnet_desktop.ui.hosting.words import limit_fact
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Notice, button, column, row
from agentnet_desktop.ui.widgets.path_field import PathField


class KeepView(QWidget):
    """The tab *Limits and data*."""

    def __init__(self, bridge: Bridge, relay: RelayProcess) -> None:
        super().__init__()
        self._bridge = bridge
        self._relay = relay
        self.notice = Notice()
        self._limits = QFormLayout()
        self._limits.setHorizontalSpacing(SPACE_L)
        self.folder = Label(str(relay.data_dir), "mono", wrap=True, selectable=True)
        opened = button(self.tr("Open folder"), icon="folder", name="relay-folder", clicked=self._open_folder)
        where = row(self.folder, opened)
        where.setStretch(0, 1)
        self.path = PathField(
            "relay-backup-path",
            self.tr("A new file for the copy"),
            saving=True,
            pattern=self.tr("Registry (*.sqlite)"),
        )
        self.back_up = button(self.tr("Back up"), name="relay-backup", clicked=self._back_up)
        self.path.changed.connect(self._render)
        line = row(self.path, self.back_up)
        line.setStretch(0, 1)
        hint = self.tr(
            "One guest that goes too far is slowed down, and then cut off; the others notice nothing. "
            "Other values go into relay.toml in the folder, under [limits]."
        )
        kept = self.tr(
            "Who may connect, as public keys, and hashes of invites: no message, no address. "
            "A copy can be made while the relay runs."
        )
        self.setLayout(
            column(
                Label(self.tr("Limits"), "section"),
                Label(hint, "muted", wrap=True),
                self._limits,
                SPACE_S,
                Label(self.tr("Registry"), "section"),
                Label(kept, "muted", wrap=True),
                where,
                line,
                self.notice,
                spacing=SPACE_M,
            )
        )
        self._render()

    def load(self) -> None:
        """Read the limits that are in force."""
        self._bridge.work(
            self._read, name="read the relay's settings", owner=self, done=self._show, failed=self._failed
        )

    async def _read(self) -> tuple[Limit, ...]:
        printed = await self._relay.command("config", "print")
        try:
            return limits_of(tomllib.loads(printed))
        except ValueError as error:
            raise RelayFault(self.tr("The relay's settings cannot be read: {0}.").format(error)) from error

    def _show(self, limits: tuple[Limit, ...]) -> None:
        while self._limits.rowCount():
            self._limits.removeRow(0)
        for limit in limits:
            name, value = limit_fact(limit)
            self._limits.addRow(Label(name, "muted"), Label(value, wrap=True))

    def _failed(self, sentence: str) -> None:
        self._render()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    # ------------------------------------------------------------------------------- back-up

    def _render(self) -> None:
        wrong = self.path.problem()
        self.notice.show_notice(wrong, Tone.WARN)
        self.back_up.setEnabled(self.path.path() is not None and not wrong)

    def _back_up(self) -> None:
        path = self.path.path()
        if path is None:
            return
        self.back_up.setEnabled(False)

        async def copy() -> None:
            await self._relay.command("backup", "--out", str(path))
            await asyncio.to_thread(path.stat)

        def done(_none: None) -> None:
            self.path.edit.clear()
            self.notice.show_notice(self.tr("Copied to {0}.").format(path), Tone.GOOD)

        self._bridge.work(
            copy, name="back up the relay's registry", owner=self, done=done, failed=self._failed
        )

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._relay.data_dir)))
