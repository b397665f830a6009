"""The log's integrity: verified up to which entry, *Verify now* with progress, and the first bad entry by name."""

from __future__ import annotations

from PySide6.QtCore import Signal

from agentnet_desktop.agent.proof import LastVerified
from agentnet_desktop.audit.verify import Report
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.long_work import LongWork
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row


def report_words(report: Report) -> tuple[str, Tone]:
    """Put what verifying found into words."""
    bad = report.first_bad
    if bad is not None:
        more = len(report.problems) - 1
        rest = text.tr(" {0} more problems follow.").format(more) if more else ""
        return f"{text.peer_text(bad.sentence)}{rest}", Tone.BAD
    words = text.tr("Intact, {0} entries. Proved authors: {1}, contents: {2}, receipts: {3}.").format(
        report.entries, report.signatures, report.commitments, report.receipts
    )
    if report.loose_steps:
        words += " " + text.tr("Delivery steps that no entry here proves: {0}.").format(report.loose_steps)
    return f"{words} {_completeness(report)}", Tone.GOOD


def _completeness(report: Report) -> str:
    """Say up to where nothing is missing, and by whose word."""
    signed, held = report.anchored_to, report.held_to
    if held and held == signed:
        return text.tr("Complete up to entry {0}, by what the key store or others hold.").format(held)
    if held:
        words = text.tr(
            "Complete up to entry {0} by its owner's signature, up to {1} by what the key store or others hold."
        )
        return words.format(signed, held)
    if signed:
        words = text.tr("Complete up to entry {0} by its owner's signature; nobody else says so.")
        return words.format(signed)
    return text.tr("Nobody holds a statement about how far it goes.")


class IntegrityCard(Card):
    """Whether the log can be trusted."""

    entry_wanted = Signal(int)  # the place of a bad entry

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.state = Label(wrap=True)
        self.verify_button = button(
            self.tr("Verify now"), icon="shield-check", name="integrity-verify", clicked=self.verify
        )
        self.work = LongWork(self.tr("Verifying the log"))
        self.notice = Notice()
        self._bad = 0
        self.show_bad = button(
            self.tr("Show the entry"), kind="flat", icon="log", name="integrity-show", clicked=self._show_bad
        )
        self.add(
            Label(self.tr("Log integrity"), "section"),
            self.state,
            row(self.verify_button, self.show_bad, None),
            self.work,
            self.notice,
            None,
        )
        self._bridge = bridge
        self.show_bad.hide()
        self.work.cancel_button.clicked.connect(self._cancelled)
        self.state.setText(self._words(None))
        bridge.attached.connect(lambda _snapshot: self._load())

    def _load(self) -> None:
        self._bridge.command(
            lambda agent: agent.proof.last_verified(),
            name="read how far the log is verified",
            owner=self,
            done=self._show_last,
        )

    def _show_last(self, last: LastVerified | None) -> None:
        self.state.setText(self._words(last))
        self._bad = last.bad if last is not None else 0
        self.show_bad.setVisible(self._bad > 0)

    def _words(self, last: LastVerified | None) -> str:
        if last is None:
            return self.tr("Each entry is chained to the one before it. It was not verified here yet.")
        when = text.relative(last.time, text.now_ms())
        if last.bad:
            return self.tr("Entry {0} is not as it was written. Verified {1}.").format(last.bad, when)
        return self.tr("Verified up to entry {0}, {1}.").format(text.locale().toString(last.seq), when)

    def verify(self) -> None:
        """Verify the whole log."""
        self.verify_button.setEnabled(False)
        self.notice.show_notice("", Tone.NEUTRAL)
        task = self._bridge.command(
            lambda agent: agent.proof.verify(self.work.tick),
            name="verify the log",
            owner=self,
            done=self._verified,
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Verifying entry"))
        self._bridge.command(
            lambda agent: agent.log.head(), name="read the log's end", owner=self, done=self.work.set_total
        )

    def _verified(self, report: Report) -> None:
        self.work.end()
        self.verify_button.setEnabled(True)
        self.notice.show_notice(*report_words(report))
        self._load()

    def _failed(self, sentence: str) -> None:
        self.work.end()
        self.verify_button.setEnabled(True)
        self.notice.show_notice(sentence, Tone.BAD)

    def _cancelled(self) -> None:
        self.verify_button.setEnabled(True)
        self.notice.show_notice(self.tr("Stopped; nothing was found out."), Tone.NEUTRAL)

    def _show_bad(self) -> None:
        self.entry_wanted.emit(self._bad)
