"""Signing in again: a banner while the account's sign-in has ended, and the dialog that it opens."""

from __future__ import annotations

from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot, ConnectionView
from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.settings.identity import KeeperDialog
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.parts import Notice, button
from agentnet_desktop.ui.widgets.passphrase import secret_field

ENDED = "SIGN_IN_ENDED"


class SignInDialog(KeeperDialog):
    """Takes e-mail address and password of the account."""

    def __init__(self, bridge: Bridge, parent: QWidget) -> None:
        super().__init__(
            bridge,
            parent,
            self.tr("Sign in again"),
            self.tr(
                "The relay knows your agent by its Firebase account. The password is used once and kept nowhere."
            ),
            self.tr("Sign in"),
            "sign-in",
        )
        self.email = QLineEdit()
        self.email.setObjectName("sign-in-email")
        self.email.setAccessibleName(self.tr("E-mail address of the account"))
        self.email.setPlaceholderText(self.email.accessibleName())
        self.password = secret_field("sign-in-password", self.tr("Its password"))
        self.email.setText((bridge.keeper.account if bridge.keeper is not None else None) or "")
        for edit in (self.email, self.password):
            self.body.addWidget(edit)
            edit.textChanged.connect(self._check)
        self._check()
        (self.password if self.email.text() else self.email).setFocus()

    def _check(self) -> None:
        given = bool(self.email.text().strip() and self.password.text())
        self.go.setEnabled(given and not self.work.busy)

    def _go(self) -> None:
        keeper = self._bridge.keeper
        if keeper is None:
            return
        self.go.setEnabled(False)
        self.notice.show_notice("", Tone.NEUTRAL)
        email, password = self.email.text().strip(), self.password.text()
        task = self._bridge.work(
            lambda: keeper.sign_in(email, password),
            name="sign in again",
            owner=self,
            done=lambda _none: self._signed_in(),
            failed=self._failed,
        )
        self.work.begin(task, self.tr("Signing in …"))

    def _signed_in(self) -> None:
        self.password.clear()
        self._finished(self.tr("Signed in. Your agent connects again."))


class SignInBanner(QWidget):
    """Stands above every page while the sign-in has ended."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self.notice = Notice()
        self.button = button(self.tr("Sign in …"), kind="primary", name="sign-in-again", clicked=self.open)
        self.notice.add_action(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_M, SPACE_XL, 0)
        layout.addWidget(self.notice)
        self.hide()
        bridge.attached.connect(self._start)
        bridge.connection_changed.connect(self._show)
        bridge.detached.connect(self.hide)

    def open(self) -> SignInDialog:
        """Ask for the password."""
        dialog = SignInDialog(self._bridge, self)
        dialog.open()
        return dialog

    def _start(self, snapshot: AgentSnapshot) -> None:
        self._show(snapshot.connection)

    def _show(self, view: ConnectionView) -> None:
        ended = view.kind == ENDED
        self.notice.show_notice(text.peer_text(view.reason) if ended else "", Tone.BAD)
        self.setVisible(ended)
