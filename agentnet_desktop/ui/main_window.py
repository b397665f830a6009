"""The frame: navigation, pages and status bar. Shown first; its pages are built behind it.

The window decides nothing. It opens the proposal dialog when one arrives, one at a time, and hands its close
event to whoever runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QIcon
from PySide6.QtWidgets import QDialog, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from agentnet_desktop.agent.events import AgentSnapshot, ProposalView
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.navigation import Navigation, PageName
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.sign_in import SignInBanner
from agentnet_desktop.ui.status_bar import StatusBar
from agentnet_desktop.ui.text import peer_text, storage_words
from agentnet_desktop.ui.theme import icons
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_S, SPACE_XL, Tone
from agentnet_desktop.ui.widgets.parts import EmptyState, Notice, button

if TYPE_CHECKING:
    from agentnet_desktop.ui.hosting.relay_process import RelayProcess
    from agentnet_desktop.ui.inbox.dialog import ProposalDialog
    from agentnet_desktop.ui.models.inbox_model import InboxItem
    from agentnet_desktop.ui.pages import Pages

_START_SIZE = QSize(1180, 760)
_LEAST_SIZE = QSize(900, 560)


class MainWindow(QMainWindow):
    """One profile's window."""

    close_wanted = Signal()

    def __init__(self, bridge: Bridge, preferences: Preferences, theme: ThemeSwitch) -> None:
        super().__init__()
        self._bridge = bridge
        self._preferences = preferences
        self._theme = theme
        self._dialog: ProposalDialog | None = None
        self._waiting: list[InboxItem] = []
        self.pages: Pages | None = None
        self.setWindowTitle("AgentNet")
        self.setWindowIcon(QIcon(icons.icon("app", "accent")))
        self.navigation = Navigation()
        self.status = StatusBar(bridge)
        self.stack = QStackedWidget()
        self._starting = EmptyState("app", self.tr("Opening your profile …"), "")
        self.stack.addWidget(self._starting)
        self.sign_in = SignInBanner(bridge)
        self.storage_notice = Notice()
        self.notice = Notice()
        dismiss = button("", kind="flat", icon="close", clicked=self._dismiss)
        dismiss.setAccessibleName(self.tr("Dismiss"))
        self.notice.add_action(dismiss)
        self._lay_out()
        self.setStatusBar(self.status)
        self.setMinimumSize(_LEAST_SIZE)
        self.resize(_START_SIZE)
        if not preferences.geometry.isEmpty():
            self.restoreGeometry(preferences.geometry)
        self.navigation.chosen.connect(lambda page: self.show_page(PageName(page)))
        self.status.connection_clicked.connect(lambda: self.show_page(PageName.RELAY))
        self.status.keys_clicked.connect(lambda: self.show_page(PageName.SETTINGS))
        self.status.storage_clicked.connect(lambda: self.show_page(PageName.SECURITY))
        self.status.queue_clicked.connect(lambda: self.show_log("is:queued"))
        theme.changed.connect(self.update)
        bridge.attached.connect(self._start)
        bridge.command_failed.connect(lambda sentence: self.tell(peer_text(sentence), Tone.BAD))
        bridge.storage_changed.connect(self._storage_changed)

    def _lay_out(self) -> None:
        edge = QWidget()
        edge.setObjectName("sidebarEdge")
        edge.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        edge.setFixedWidth(1)
        above = QWidget()
        above_layout = QVBoxLayout(above)
        above_layout.setContentsMargins(SPACE_XL, SPACE_M, SPACE_XL, 0)
        above_layout.setSpacing(SPACE_S)
        above_layout.addWidget(self.storage_notice)
        above_layout.addWidget(self.notice)
        self._above = above
        above.hide()
        right = QWidget()
        right_layout = QVBoxLayout(right)
        right_layout.setContentsMargins(0, 0, 0, 0)
        right_layout.setSpacing(0)
        right_layout.addWidget(self.sign_in)
        right_layout.addWidget(above)
        right_layout.addWidget(self.stack, 1)
        central = QWidget()
        layout = QHBoxLayout(central)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.navigation)
        layout.addWidget(edge)
        layout.addWidget(right, 1)
        self.setCentralWidget(central)

    # ------------------------------------------------------------------------------- pages

    def build_pages(self, relay: RelayProcess) -> None:
        """Make the pages. Called once, after the frame is on the screen."""
        from agentnet_desktop.ui.pages import Pages

        pages = Pages(self._bridge, self._preferences, self._theme, relay)
        self.pages = pages
        for page in pages.by_name.values():
            self.stack.addWidget(page)
        for signal in (pages.inbox.log_wanted, pages.meetings.log_wanted, pages.contacts.log_wanted,
                       pages.security.log_wanted):  # fmt: skip
            signal.connect(self.show_log)
        pages.security.entry_wanted.connect(self.show_entry)
        pages.contacts.meeting_wanted.connect(self._new_meeting)
        pages.settings.data.export_wanted.connect(self._export_log)
        inbox = pages.inbox_model
        for signal in (inbox.rowsInserted, inbox.rowsRemoved, inbox.modelReset):
            signal.connect(self._count)
        pages.security_model.unseen_changed.connect(self._count)
        inbox.arrived.connect(self._arrived)

    def show_page(self, page: PageName) -> None:
        """Show a page; before they are built, only mark it."""
        self.navigation.choose(page)
        if self.pages is not None:
            self.stack.setCurrentWidget(self.pages.by_name[page])
            if page is PageName.SECURITY:
                self.pages.security_model.mark_seen()

    def show_widget(self, widget: QWidget) -> None:
        """Show something in place of the pages, such as the question for a passphrase."""
        if self.stack.indexOf(widget) < 0:
            self.stack.addWidget(widget)
        self.stack.setCurrentWidget(widget)

    def show_log(self, expression: str) -> None:
        """Show the log with a filter."""
        if self.pages is not None:
            self.show_page(PageName.LOG)
            self.pages.log.show_filter(expression)

    def show_entry(self, seq: int) -> None:
        """Show one entry of the log, whatever the filter."""
        if self.pages is not None:
            self.show_page(PageName.LOG)
            self.pages.log.find_entry(seq)

    def show_item(self, key: str) -> None:
        """Show one item of the inbox."""
        if self.pages is not None:
            self.show_page(PageName.INBOX)
            self.pages.inbox.show_item(key)

    def tell(self, sentence: str, tone: Tone) -> None:
        """Show a sentence above the page until it is dismissed."""
        self.notice.show_notice(sentence, tone)
        self._show_above()

    def _show_above(self) -> None:
        self._above.setVisible(bool(self.notice.text() or self.storage_notice.text()))

    def _storage_changed(self, problem: str) -> None:
        """Tell that nothing can be stored for as long as it is so, and once that it can be again."""
        self.storage_notice.show_notice(storage_words(problem), Tone.BAD)
        if problem:
            self._show_above()
        else:
            self.tell(self.tr("The disk takes data again; what waited goes on."), Tone.GOOD)

    def take_link(self, link: str) -> None:
        """Ask about a link that came from outside; an empty one only brings the window forward."""
        self.bring_forward()
        if link and self.pages is not None:
            self.show_page(PageName.CONTACTS)
            self.pages.contacts.open_add(link)

    def bring_forward(self) -> None:
        """Show the window and raise it: only ever because the person asked."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    # ------------------------------------------------------------------------------- the dialog

    @property
    def dialog(self) -> ProposalDialog | None:
        """The proposal dialog that is open, if one is."""
        return self._dialog

    def close_dialogs(self) -> None:
        """Close whatever is open above the window, before the agent behind it goes; nothing is decided by that."""
        self._waiting.clear()
        for dialog in self.findChildren(QDialog):
            dialog.close()

    def _arrived(self, item: InboxItem) -> None:
        if isinstance(item.view, ProposalView) and self.isVisible() and not self.isMinimized():
            self._waiting.append(item)
            self._ask_next()

    def _ask_next(self) -> None:
        if self._dialog is not None or self.pages is None:
            return
        while self._waiting:
            item = self.pages.inbox_model.find(self._waiting.pop(0).key)
            if item is not None and isinstance(item.view, ProposalView):
                self._ask(item.view)
                return

    def _ask(self, view: ProposalView) -> None:
        from agentnet_desktop.ui.inbox.dialog import ProposalDialog

        if self.pages is None:
            return
        dialog = ProposalDialog(self._bridge, self.pages.contacts_model, self.pages.meetings_model, self)
        dialog.widget.conversation_wanted.connect(lambda conv: self.show_log(f"conv:{conv}"))
        dialog.finished.connect(self._dialog_closed)
        self._dialog = dialog
        dialog.ask(view)

    def _dialog_closed(self) -> None:
        self._dialog = None
        self._ask_next()

    # ------------------------------------------------------------------------------- events

    def _start(self, snapshot: AgentSnapshot) -> None:
        self.navigation.set_identity(snapshot.agent_id)
        self._count()

    def _count(self) -> None:
        if self.pages is not None:
            self.navigation.set_count(PageName.INBOX, self.pages.inbox_model.rowCount())
            self.navigation.set_count(PageName.SECURITY, self.pages.security_model.unseen)

    def _new_meeting(self, agent_id: str) -> None:
        if self.pages is not None:
            self.show_page(PageName.MEETINGS)
            self.pages.meetings.open_new(agent_id)

    def _export_log(self) -> None:
        if self.pages is not None:
            self.show_log("")
            self.pages.log.open_export()

    def _dismiss(self) -> None:
        self.tell("", Tone.NEUTRAL)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ignore the event: who runs the window hides it, or ends the program in order."""
        event.ignore()
        self._preferences.geometry = self.saveGeometry()
        self.close_wanted.emit()
