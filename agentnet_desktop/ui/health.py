"""The doctor in the window: each check with its mark, and the figures that were measured."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QFormLayout, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import FiguresView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.keeper import Finding
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.trust import Mark
from agentnet_desktop.ui.widgets.labels import Badge, Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row, scrolled


def finding_mark(state: str) -> Mark:
    """Give the mark of a check's result."""
    marks = {
        "ok": Mark(tr("Fine"), "check-circle", Tone.GOOD),
        "warning": Mark(tr("Look at it"), "alert", Tone.WARN),
        "failed": Mark(tr("Wrong"), "fail", Tone.BAD),
    }
    return marks.get(state, Mark(tr("Not checked"), "question", Tone.NEUTRAL))


def check_name(check: str) -> str:
    """Name a check for a person."""
    names = {
        "profile": tr("Profile"),
        "keyring": tr("Keys"),
        "database": tr("Database"),
        "disk": tr("Disk"),
        "storing": tr("Storing"),
        "relay": tr("Relay"),
        "token": tr("Sign-in"),
        "transport": tr("Way to the relay"),
        "clock": tr("Clock"),
        "session": tr("Session keys"),
    }
    return names.get(check, check)


def figures_facts(figures: FiguresView, now: int) -> list[tuple[str, str]]:
    """List what was measured, as names and values with the time they are of; "–" where nothing was."""
    since = figures.connected_since
    month = tr("in the last 30 days")
    messages = tr("of {0} messages delivered in the last 30 days").format(figures.delivered)
    return [
        (tr("Connected"), tr("for {0}").format(text.duration(now - since)) if since is not None else "–"),
        (
            tr("Connecting took"),
            _value(figures.connect_ms, tr("the last time"), figures.connect_p95_ms, month),
        ),
        (
            tr("Round trip"),
            _value(figures.round_trip_p50_ms, tr("usually"), figures.round_trip_p95_ms, month),
        ),
        (
            tr("A message took"),
            _value(figures.latency_p50_ms, tr("usually"), figures.latency_p95_ms, messages),
        ),
        (tr("Connections"), tr("{0} since the profile was made").format(figures.connections)),
        (tr("Reconnections"), tr("{0} since the start of this program").format(figures.reconnections)),
        (tr("Retries"), tr("{0}, {1}").format(figures.retries, messages)),
    ]


def figures_line(figures: FiguresView) -> str:
    """Give the usual values in one line, each with the time it is of."""
    parts = []
    if figures.connect_ms is not None:
        parts.append(tr("connecting took {0} ms the last time").format(figures.connect_ms))
    if figures.latency_p50_ms is not None:
        words = tr("a message takes {0} ms, of {1} in 30 days with {2} retries")
        parts.append(words.format(figures.latency_p50_ms, figures.delivered, figures.retries))
    parts.append(tr("{0} reconnections since the start").format(figures.reconnections))
    return "  ·  ".join(parts)


def _value(one: float | None, what: str, most: int | None, period: str) -> str:
    """Give a value, the one below which 95 of 100 lie, and of which time that is."""
    if one is None:
        return "–"
    shown = tr("{0} ms {1}").format(round(one), what)
    return shown if most is None else tr("{0}; 95 of 100 below {1} ms, {2}").format(shown, most, period)


class HealthDialog(QDialog):
    """Walks the doctor's checks and shows each as it comes."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Is everything well?"))
        self.resize(640, 560)
        self._bridge = bridge
        self._task: asyncio.Task[None] | None = None
        self.findings: list[Finding] = []
        self.notice = Notice()
        self._lines = QVBoxLayout()
        self._lines.setSpacing(SPACE_M)
        self._facts = QFormLayout()
        self._facts.setHorizontalSpacing(SPACE_L)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, SPACE_S, 0)
        inside.setSpacing(SPACE_M)
        checks, figures = Card(), Card(Label(self.tr("Measured"), "section"))
        checks.body.addLayout(self._lines)
        figures.body.addLayout(self._facts)
        inside.addWidget(checks)
        inside.addWidget(figures)
        inside.addStretch(1)
        self.again = button(self.tr("Check again"), icon="refresh", name="health-again", clicked=self.examine)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.windowTitle(), "title"))
        layout.addWidget(self.notice)
        layout.addWidget(scrolled(content), 1)
        close = button(self.tr("Close"), kind="primary", name="health-close", clicked=self.close)
        layout.addLayout(row(self.again, None, close))
        self.examine()

    def examine(self) -> None:
        """Walk the checks again."""
        keeper = self._bridge.keeper
        self.findings = []
        while (item := self._lines.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        if keeper is None:
            self.notice.show_notice(self.tr("The profile is not open yet."), Tone.WARN)
            return
        self.again.setEnabled(False)
        self.notice.show_notice(self.tr("Checking …"), Tone.NEUTRAL)
        self._task = self._bridge.work(
            lambda: keeper.examine(self._tell),
            name="examine the profile",
            owner=self,
            done=lambda _none: self._ended(),
            failed=self._failed,
        )
        self._bridge.command(
            lambda agent: agent.figures(), name="read figures", owner=self, done=self._show_figures
        )

    def _tell(self, finding: Finding) -> None:
        self.findings.append(finding)
        badge = Badge(finding_mark(finding.state))
        words = Label(text.peer_text(finding.message), wrap=True, selectable=True)
        name = Label(check_name(finding.check), "strong")
        name.setFixedWidth(130)
        badge.setMinimumWidth(96)
        line = QWidget()
        layout = row(name, words, badge, spacing=SPACE_M)
        layout.setStretch(1, 1)
        for widget in (name, badge):
            layout.setAlignment(widget, Qt.AlignmentFlag.AlignTop)
        line.setLayout(layout)
        line.setAccessibleName(f"{name.text()}: {badge.word()}. {words.text()}")
        self._lines.addWidget(line)

    def _ended(self) -> None:
        self._task = None
        self.again.setEnabled(True)
        wrong = sum(finding.state == "failed" for finding in self.findings)
        look = sum(finding.state == "warning" for finding in self.findings)
        if wrong:
            self.notice.show_notice(self.tr("{0} checks failed.").format(wrong), Tone.BAD)
        elif look:
            self.notice.show_notice(self.tr("It works; {0} matters deserve a look.").format(look), Tone.WARN)
        else:
            self.notice.show_notice(self.tr("Everything is well."), Tone.GOOD)

    def _failed(self, sentence: str) -> None:
        self._task = None
        self.again.setEnabled(True)
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    def _show_figures(self, figures: FiguresView) -> None:
        while self._facts.rowCount():
            self._facts.removeRow(0)
        for name, value in figures_facts(figures, text.now_ms()):
            self._facts.addRow(Label(name, "muted"), Label(value, wrap=True, selectable=True))

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._task is not None:
            self._task.cancel()
        super().closeEvent(event)
