"""What the running relay does: the chart, who is connected, and its totals. It shows what `RelayWatch` has."""

from __future__ import annotations

from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.hosting.chart import TrafficChart
from agentnet_desktop.ui.hosting.watch import RelayWatch
from agentnet_desktop.ui.hosting.words import certificate_line
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M
from agentnet_desktop.ui.widgets.labels import Label

_NAMED = 12


class TrafficView(QWidget):
    """The tab *Traffic*."""

    def __init__(self, watch: RelayWatch) -> None:
        super().__init__()
        self._watch = watch
        self.chart = TrafficChart()
        self.connected, self.passed, self.refused, self.certificate = (
            Label(wrap=True),
            Label(wrap=True),
            Label(wrap=True),
            Label(wrap=True),
        )
        facts = QFormLayout()
        facts.setHorizontalSpacing(SPACE_L)
        for words, label in (
            (self.tr("Connected now"), self.connected),
            (self.tr("Since its start"), self.passed),
            (self.tr("Refused"), self.refused),
            (self.tr("Certificate"), self.certificate),
        ):
            facts.addRow(Label(words, "muted"), label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_M)
        layout.addWidget(self.chart)
        layout.addLayout(facts)
        watch.measured.connect(self._render)
        watch.presence_changed.connect(self._render)
        self._render()

    def _render(self) -> None:
        self.chart.show_points(self._watch.history.points)
        names = self._watch.presence.connected()
        shown = ", ".join(text.peer_text(name, text.NAME_LIMIT) for name in names[:_NAMED])
        more = self.tr("{0} and {1} more").format(shown, len(names) - _NAMED)
        self.connected.setText((shown if len(names) <= _NAMED else more) or self.tr("nobody"))
        totals = self._watch.history.totals
        if totals is None:
            for label in (self.passed, self.refused, self.certificate):
                label.setText("–")
            return
        count = text.locale().toString
        size = text.size(totals.size) or "0 B"
        self.passed.setText(self.tr("{0} messages, {1}").format(count(totals.messages), size))
        refused = self.tr("{0} connections and sign-ins, {1} errors told to agents")
        self.refused.setText(refused.format(count(totals.refused), count(totals.errors)))
        words, tone = certificate_line(totals.certificate_until, text.now_ms())
        self.certificate.setText(words)
        self.certificate.setProperty("ink", tone.value)
        self.certificate.style().unpolish(self.certificate)
        self.certificate.style().polish(self.certificate)
