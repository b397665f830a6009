"""My link: to copy, to scan, to withdraw."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QDialog, QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import LinkView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.theme.tokens import SPACE_L, SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.labels import Label
from agentnet_desktop.ui.widgets.parts import Card, Notice, QrCode, button, column, row, scrolled

_DAY_MS = 86_400_000
_COPIED_MS = 2000


class LinkCard(Card):
    """One link: the text, a button to copy it, and its QR code."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = Label(words, "muted", wrap=True)
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setObjectName("link-text")
        self.line.setAccessibleName(self.tr("Link"))
        self.copy = button(self.tr("Copy link"), icon="copy", name="link-copy", clicked=self._copy)
        self.code = QrCode(side=188)
        self._expiry = Label(role="small")
        self.extra = row(self.copy, None)
        left = column(self._words, SPACE_S, self.line, self._expiry, self.extra, None)
        layout = row(left, self.code, spacing=SPACE_XL)
        layout.setStretch(0, 1)
        self.body.addLayout(layout)

    def show_link(self, link: str, expires_at: int | None = None) -> None:
        """Show a link."""
        self.line.setText(link)
        self.line.setCursorPosition(0)
        self.code.set_text(link)
        self.copy.setEnabled(bool(link))
        if expires_at is not None:
            self._expiry.setText(self.tr("Works until {0}").format(text.exact(expires_at)))
        self._expiry.setVisible(expires_at is not None)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.line.text())
        self.copy.setText(self.tr("Copied"))
        QTimer.singleShot(_COPIED_MS, self.copy, lambda: self.copy.setText(self.tr("Copy link")))


class MyLinkDialog(QDialog):
    """Makes a contact link, and shows those that are out."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("My contact link"))
        self.setMinimumSize(660, 480)
        self._bridge = bridge
        self.notice = Notice()
        self.link = LinkCard(
            self.tr(
                "Send this to one person over a channel you trust. It names your agent and its key, and lets the "
                "first who uses it become your contact without asking you again."
            )
        )
        self.life = QComboBox()
        self.life.setAccessibleName(self.tr("How long the link works"))
        for days in (1, 7, 30):
            self.life.addItem(self.tr("1 day") if days == 1 else self.tr("{0} days").format(days), days)
        self.life.setCurrentIndex(1)
        self.make = button(self.tr("New link"), icon="plus", name="link-new", clicked=self._make)
        self._list = QVBoxLayout()
        self._list.setSpacing(SPACE_S)
        others = QWidget()
        others.setLayout(column(self._list, None))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_L, SPACE_XL, SPACE_L)
        layout.setSpacing(SPACE_M)
        layout.addWidget(Label(self.tr("My contact link"), "title"))
        layout.addWidget(self.link)
        layout.addWidget(self.notice)
        layout.addLayout(row(Label(self.tr("Links that are out"), "section"), None, self.life, self.make))
        layout.addWidget(scrolled(others), 1)
        layout.addLayout(row(None, button(self.tr("Close"), clicked=self.accept)))
        self._load(make_one=True)

    def _load(self, *, make_one: bool = False) -> None:
        def done(links: Sequence[LinkView]) -> None:
            usable = [link for link in links if _usable(link)]
            if usable:
                self.link.show_link(usable[0].link, usable[0].expires_at)
            elif make_one:
                self._make()
            else:
                self.link.show_link("")
            self._fill(links)

        self._bridge.command(
            lambda agent: agent.contact_links(), name="list links", owner=self, done=done, failed=self._failed
        )

    def _make(self) -> None:
        life = int(self.life.currentData()) * _DAY_MS
        self._bridge.command(
            lambda agent: agent.create_contact_link(life),
            name="make a contact link",
            owner=self,
            done=lambda _link: self._load(),
            failed=self._failed,
        )

    def _failed(self, sentence: str) -> None:
        self.notice.show_notice(sentence, Tone.BAD)

    def _fill(self, links: Sequence[LinkView]) -> None:
        while (item := self._list.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for link in links:
            self._list.addWidget(self._line(link))

    def _line(self, link: LinkView) -> QWidget:
        made = QWidget()
        words = self.tr("Made {0} · {1}").format(text.relative(link.created_at, text.now_ms()), _state(link))
        layout = row(Label(words), None)
        if _usable(link):
            token = link.token
            layout.addWidget(
                button(
                    self.tr("Withdraw"),
                    kind="danger",
                    name="link-withdraw",
                    clicked=lambda: self._withdraw(token),
                )
            )
        made.setLayout(layout)
        return made

    def _withdraw(self, token: str) -> None:
        self._bridge.command(
            lambda agent: agent.withdraw_contact_link(token),
            name="withdraw a contact link",
            owner=self,
            done=lambda _none: self._load(),
            failed=self._failed,
        )


def _usable(link: LinkView) -> bool:
    return not link.withdrawn and not link.used_by and link.expires_at > text.now_ms()


def _state(link: LinkView) -> str:
    if link.withdrawn:
        return text.tr("withdrawn")
    if link.used_by:
        return text.tr("used by {0}").format(text.peer_text(link.used_by, text.NAME_LIMIT))
    if link.expires_at <= text.now_ms():
        return text.tr("expired")
    return text.tr("works until {0}").format(text.exact(link.expires_at))
