"""*Data* in the settings: where everything lies, what the log takes on disk, and how long it keeps what was said.

The card asks and shows; the agent deletes. Whatever deletes more than before is asked about first.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QSpinBox

from agentnet_desktop.agent.events import LogRow
from agentnet_desktop.agent.retention import RetentionRule
from agentnet_desktop.store.log_retention import RETENTION, DiskUse
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import SPACE_S, Tone
from agentnet_desktop.ui.widgets.confirm import Confirmation
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, inset, row

_DAYS, _MEGABYTES = 90, 500  # what is offered first
_LONGEST_DAYS, _LARGEST_MB = 36_500, 1_048_576


def use_words(use: DiskUse) -> str:
    """Say what the database takes on disk."""
    count = text.locale().toString
    words = tr("The database takes {0} on disk. {1} of {2} log entries have their content.")
    return words.format(text.size(use.file), count(use.kept), count(use.entries))


def rule_words(rule: RetentionRule) -> str:
    """Say what would go under a rule."""
    parts = []
    if rule.days is not None:
        parts.append(tr("Contents older than {0} days go.").format(rule.days))
    if rule.megabytes is not None:
        parts.append(
            tr("The oldest contents go when the database is larger than {0} MB.").format(rule.megabytes)
        )
    return " ".join(parts) or tr("Nothing is deleted.")


def tightens(old: RetentionRule, new: RetentionRule) -> bool:
    """Say whether a rule deletes what another one keeps."""

    def less(before: int | None, now: int | None) -> bool:
        return now is not None and (before is None or now < before)

    return less(old.days, new.days) or less(old.megabytes, new.megabytes)


class DataCard(Card):
    """Where the data lies, what it takes, and what the log keeps."""

    export_wanted = Signal()

    def __init__(self, bridge: Bridge, folder: Path) -> None:
        super().__init__()
        self._bridge = bridge
        self._folder = folder
        self._rule = RetentionRule()
        where = Label(str(folder), "mono", wrap=True, selectable=True)
        line = row(where, button(self.tr("Open folder"), icon="folder", clicked=self._open_folder))
        line.setStretch(0, 1)
        self.use = Label("–", wrap=True)
        self.notice = Notice()
        self._build_rule()
        self.add(
            Label(self.tr("Data"), "heading"),
            Label(self.tr("Keys, messages and the log stay on this machine, encrypted."), "muted", wrap=True),
            line,
            SPACE_S,
            Label(self.tr("What the log keeps"), "section"),
            self.use,
            row(self._age_words, self.age, self.days, None),
            row(self.limited, self.megabytes, None),
            Label(
                self.tr(
                    "What is over a limit loses its content for good. Its hashes stay, so that the log can still be "
                    "verified. Export first what you want to keep."
                ),
                "muted",
                wrap=True,
            ),
            row(self.apply_button, self.export_button, None),
            self.notice,
        )
        self._show_rule(self._rule)
        bridge.attached.connect(self._attached)
        bridge.detached.connect(self._update)
        bridge.log_appended.connect(self._appended)

    def _build_rule(self) -> None:
        self._age_words = Label(self.tr("Keep contents"))
        self.age = QComboBox()
        self.age.setObjectName("retention-age")
        self.age.setAccessibleName(self.tr("How long contents are kept"))
        self.age.addItem(self.tr("for ever"), False)
        self.age.addItem(self.tr("for some days"), True)
        self.days = _number("retention-days", self.tr("Days"), _LONGEST_DAYS, self.tr(" days"))
        self.limited = QCheckBox(self.tr("Keep the database smaller than"))
        self.limited.setObjectName("retention-limited")
        self.megabytes = _number("retention-megabytes", self.tr("Megabytes"), _LARGEST_MB, self.tr(" MB"))
        self.apply_button = button(self.tr("Keep to this"), name="retention-apply", clicked=self._apply)
        self.export_button = button(
            self.tr("Export the log …"), kind="flat", name="retention-export", clicked=self.export_wanted.emit
        )
        self.age.currentIndexChanged.connect(self._update)
        self.limited.toggled.connect(self._update)
        for number in (self.days, self.megabytes):
            number.valueChanged.connect(self._update)

    # ------------------------------------------------------------------------------- showing

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def _attached(self) -> None:
        self._update()
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Read the rule and what the log takes anew; what the person is changing stays."""
        if self._bridge.agent is None:
            return
        if self.wanted() == self._rule:
            self._bridge.command(
                lambda agent: agent.retention(),
                name="read what the log keeps",
                owner=self,
                done=self._show_rule,
            )
        self._read_use()

    def _read_use(self) -> None:
        self._bridge.command(
            lambda agent: agent.disk_use(), name="read what the log takes", owner=self, done=self._show_use
        )

    def _show_use(self, use: DiskUse) -> None:
        self.use.setText(use_words(use))

    def _show_rule(self, rule: RetentionRule) -> None:
        self._rule = rule
        self.age.setCurrentIndex(0 if rule.days is None else 1)
        self.days.setValue(_DAYS if rule.days is None else rule.days)
        self.limited.setChecked(rule.megabytes is not None)
        self.megabytes.setValue(_MEGABYTES if rule.megabytes is None else rule.megabytes)
        self._update()

    def wanted(self) -> RetentionRule:
        """Give the rule that is entered."""
        days = self.days.value() if self.age.currentData() else None
        return RetentionRule(days, self.megabytes.value() if self.limited.isChecked() else None)

    def _update(self) -> None:
        self.days.setVisible(bool(self.age.currentData()))
        self.megabytes.setEnabled(self.limited.isChecked())
        self.apply_button.setEnabled(self._bridge.agent is not None and self.wanted() != self._rule)

    def _appended(self, rows: tuple[LogRow, ...]) -> None:
        if self.isVisible() and any(entry.message_type == RETENTION for entry in rows):
            self._read_use()

    # ------------------------------------------------------------------------------- acting

    def _apply(self) -> None:
        rule = self.wanted()
        if not tightens(self._rule, rule):
            self._set(rule)
            return
        asking = Confirmation(
            self,
            self.tr("Delete contents from the log?"),
            self.tr("{0} That cannot be undone.").format(rule_words(rule)),
            self.tr("Delete"),
        )
        asking.accepted.connect(lambda: self._set(rule))
        asking.open()

    def _set(self, rule: RetentionRule) -> None:
        self.apply_button.setEnabled(False)
        self.notice.show_notice("", Tone.NEUTRAL)
        self._bridge.command(
            lambda agent: agent.set_retention(rule.days, rule.megabytes),
            name="set what the log keeps",
            owner=self,
            done=self._was_set,
            failed=self._failed,
        )

    def _was_set(self, rule: RetentionRule) -> None:
        self._show_rule(rule)
        self.notice.show_notice(rule_words(rule), Tone.GOOD)
        self._bridge.command(
            lambda agent: agent.wait_retention(), name="delete old contents", owner=self, done=self._show_use
        )

    def _failed(self, sentence: str) -> None:
        self._update()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))


def _number(name: str, words: str, most: int, unit: str) -> QSpinBox:
    made = QSpinBox()
    made.setObjectName(name)
    made.setAccessibleName(words)
    made.setRange(1, most)
    made.setSuffix(unit)
    inset(made)
    return made
