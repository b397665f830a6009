"""Identity and keys in the settings: where the keys are, passphrase, backup."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label, paragraph
from agentnet_desktop.ui.widgets.long_work import LongWork
from agentnet_desktop.ui.widgets.parts import Card, Notice, button, row
from agentnet_desktop.ui.widgets.passphrase import NewPassphrase, secret_field
from agentnet_desktop.ui.widgets.path_field import PathField


class IdentityCard(Card):
    """Who this agent is, and what protects its keys."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._agent_id = Label("–", "strong", selectable=True)
        self._fingerprint = Label("–", "mono", wrap=True, selectable=True)
        self._backend = Label("–", wrap=True)
        self._protection = Label("–", wrap=True)
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        for words, label in (
            (self.tr("Agent"), self._agent_id),
            (self.tr("Fingerprint"), self._fingerprint),
            (self.tr("Keys are kept in"), self._backend),
            (self.tr("Passphrase"), self._protection),
        ):
            form.addRow(Label(words, "muted"), label)
        self.passphrase_button = button(
            self.tr("Change passphrase"), icon="key", name="settings-passphrase", clicked=self.open_passphrase
        )
        self.backup_button = button(
            self.tr("Back up"), icon="lock", name="settings-backup", clicked=self.open_backup
        )
        self.add(
            Label(self.tr("Identity and keys"), "heading"),
            form,
            row(self.passphrase_button, self.backup_button, None),
            Label(
                self.tr("To restore a backup, start with an empty profile: the first step offers it."),
                "small",
                wrap=True,
            ),
        )
        self._enable()
        bridge.attached.connect(self._start)
        bridge.detached.connect(self._enable)

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._agent_id.setText(text.peer_text(snapshot.agent_id, text.NAME_LIMIT))
        self._fingerprint.setText(snapshot.fingerprint)
        self._backend.setText(text.key_store(snapshot.keyring_backend))
        self._enable()

    def _enable(self) -> None:
        keeper = self._bridge.keeper
        for made in (self.passphrase_button, self.backup_button):
            made.setEnabled(keeper is not None)
        if keeper is not None:
            has = self.tr("Set: the keys open only with it.")
            none = self.tr("None: whoever can use your login can use the keys.")
            self._protection.setText(has if keeper.has_passphrase else none)
            self.passphrase_button.setText(
                self.tr("Change passphrase") if keeper.has_passphrase else self.tr("Set a passphrase")
            )

    def open_passphrase(self) -> PassphraseDialog:
        """Ask for a new passphrase."""
        dialog = PassphraseDialog(self._bridge, self)
        dialog.finished.connect(lambda _code: self._enable())
        dialog.open()
        return dialog

    def open_backup(self) -> BackupDialog:
        """Ask where the backup goes, and for its passphrase."""
        dialog = BackupDialog(self._bridge, self)
        dialog.open()
        return dialog


class KeeperDialog(QDialog):
    """A dialog with one act that the keeper of the profile does."""

    def __init__(self, bridge: Bridge, parent: QWidget, title: str, words: str, act: str, name: str) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.setMinimumWidth(520)
        self._bridge = bridge
        self.notice = Notice()
        self.notice.widen()
        self.work = LongWork(title)
        self.work.cancel_button.hide()  # half a change is none: it is over in a second or two
        self.go = button(act, kind="primary", name=f"{name}-go", clicked=self._go)
        self.close_button = button(self.tr("Cancel"), name=f"{name}-close", clicked=self.close)
        self.body = QVBoxLayout()
        self.body.setSpacing(SPACE_M)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(title, "title"))
        layout.addWidget(paragraph(words))
        layout.addLayout(self.body)
        layout.addWidget(self.work)
        layout.addWidget(self.notice)
        layout.addLayout(row(None, self.close_button, self.go))

    def _go(self) -> None:
        raise NotImplementedError

    def _check(self) -> None:
        raise NotImplementedError

    def _finished(self, words: str) -> None:
        self.work.end()
        self.notice.show_notice(words, Tone.GOOD)
        self.go.hide()
        self.close_button.setText(self.tr("Close"))

    def _failed(self, sentence: str) -> None:
        self.work.end()
        self._check()
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)


class PassphraseDialog(KeeperDialog):
    """Sets, changes or drops the passphrase."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(
            bridge,
            parent,
            self.tr("Passphrase of your keys"),
            self.tr(
                "With a passphrase, the keys open only with it, and nobody can restore it for you. A change also starts "
                "new session keys with everybody."
            ),
            self.tr("Change it"),
            "passphrase",
        )
        keeper = bridge.keeper
        self._has = keeper is not None and keeper.has_passphrase
        self._may_drop = self._has and keeper is not None and not keeper.needs_passphrase
        self.old = secret_field("passphrase-old", self.tr("The present passphrase"))
        self.old.setVisible(self._has)
        words = (
            self.tr("The new passphrase; empty for none") if self._may_drop else self.tr("The new passphrase")
        )
        self.new = NewPassphrase("passphrase-new", words)
        self.body.addWidget(self.old)
        self.body.addWidget(self.new)
        self.old.textChanged.connect(self._check)
        self.new.changed.connect(self._check)
        self._check()
        (self.old if self._has else self.new.first).setFocus()

    def _check(self) -> None:
        problem = self.new.problem()
        self.notice.show_notice(problem, Tone.WARN)
        dropped = self._may_drop and not self.new.first.text() and not self.new.again.text()
        known = not self._has or bool(self.old.text())
        self.go.setEnabled(known and not problem and (self.new.complete() or dropped) and not self.work.busy)

    def _go(self) -> None:
        keeper = self._bridge.keeper
        if keeper is None:
            return
        self.go.setEnabled(False)
        old, new = self.old.text(), self.new.text() or None
        task = self._bridge.work(
            lambda: keeper.change_passphrase(old, new),
            name="change the passphrase",
            owner=self,
            done=lambda _count: self._changed(new is not None),
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Wrapping the keys anew …"))

    def _changed(self, has: bool) -> None:
        self.old.clear()
        self.new.clear()
        self.old.hide()
        self.new.hide()
        self._finished(
            self.tr("The new passphrase holds.")
            if has
            else self.tr("The keyring alone protects the keys now.")
        )


class BackupDialog(KeeperDialog):
    """Writes a backup."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(
            bridge,
            parent,
            self.tr("Back up this profile"),
            self.tr(
                "The file holds your identity, contacts with their keys, and settings, sealed with a passphrase of its "
                "own. The log is not in it: export that from the live log."
            ),
            self.tr("Write the backup"),
            "backup",
        )
        self.path = PathField("backup-path", self.tr("File"), saving=True, pattern="*.agentnet-backup")
        self.new = NewPassphrase("backup", self.tr("Passphrase of the backup"))
        self.body.addWidget(self.path)
        self.body.addWidget(self.new)
        self.path.changed.connect(self._check)
        self.new.changed.connect(self._check)
        self.path.set_path(self._proposed())
        self._check()
        self.new.first.setFocus()

    def _proposed(self) -> Path:
        snapshot = self._bridge.snapshot
        who = snapshot.agent_id if snapshot is not None else "agent"
        folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
        day = text.at(text.now_ms()).strftime("%Y%m%d")
        return (folder if folder.is_dir() else Path.home()) / f"{who}-{day}.agentnet-backup"

    def _check(self) -> None:
        problem = self.path.problem() or self.new.problem()
        self.notice.show_notice(problem, Tone.WARN)
        ready = self.path.path() is not None and self.new.complete()
        self.go.setEnabled(ready and not problem and not self.work.busy)

    def _go(self) -> None:
        keeper, path = self._bridge.keeper, self.path.path()
        if keeper is None or path is None:
            return
        self.go.setEnabled(False)
        words = self.new.text()
        task = self._bridge.work(
            lambda: keeper.back_up(path, words),
            name="write a backup",
            owner=self,
            done=lambda count: self._written(path, count),
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Sealing the backup …"))

    def _written(self, path: Path, count: int) -> None:
        self.new.clear()
        self.new.hide()
        self.path.setEnabled(False)
        self._finished(
            self.tr(
                "Identity, settings and {0} contacts are in {1}. Keep it where this machine's loss cannot reach it."
            ).format(count, path)
        )
