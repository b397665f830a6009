"""The life of one window: shows the frame, opens or makes the profile, attaches the agent, ends in order.

What opens a profile is handed in as `Profiles`, loaded in a thread behind the frame that is shown already.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from agentnet_desktop.agent.errors import AgentError
from agentnet_desktop.agent.tasks import Tasks
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.faults import Faults
from agentnet_desktop.ui.main_window import MainWindow
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.preferences import Preferences
from agentnet_desktop.ui.theme.current import ThemeSwitch
from agentnet_desktop.ui.theme.tokens import Tone
from agentnet_desktop.ui.waiting import first_of, next_of

if TYPE_CHECKING:
    from agentnet_desktop.ui.first_run import FirstRunMaker
    from agentnet_desktop.ui.hosting.relay_process import RelayProcess
    from agentnet_desktop.ui.profiles import Holder, Profiles
    from agentnet_desktop.ui.single_instance import InstanceServer
    from agentnet_desktop.ui.tray import Tray
    from agentnet_desktop.ui.wizard.wizard import Wizard

_log = logging.getLogger(__name__)
JOIN_LINK = "agentnet://join"


class Session(QObject):
    """Runs one window from its first paint to its orderly end."""

    def __init__(
        self,
        profile: Path,
        theme: ThemeSwitch,
        preferences: Preferences,
        load: Callable[[], Awaitable[Profiles]],
        *,
        link: str = "",
        relay: RelayProcess | None = None,
        pictures: Path | None = None,
    ) -> None:
        """Make the window; nothing is opened yet.

        Args:
            profile: The profile's folder; a first run makes it.
            theme: The application's look.
            preferences: The window's own settings.
            load: Brings what opens profiles, behind the frame.
            link: A link to ask about once the profile is open.
            relay: The bundled relay's process, where it exists already.
            pictures: An existing folder: save pictures of what there is to see, then end.
        """
        super().__init__()
        self._profile = profile
        self._preferences = preferences
        self._load = load
        self._link = link
        self._tasks = Tasks()
        self._closing = asyncio.Event()
        self._holder: Holder | None = None
        self._profiles: Profiles | None = None
        self._maker: FirstRunMaker | None = None
        self._relay = relay
        self._pictures = pictures
        self._small = False
        self._tray: Tray | None = None
        self._instances: InstanceServer | None = None
        self.bridge = Bridge(self._tasks, self)
        self.window = MainWindow(self.bridge, preferences, theme)
        self.window.close_wanted.connect(self._close_wanted)
        self._faults = Faults(self)
        self._faults.happened.connect(self._tell_fault)

    # ------------------------------------------------------------------------------- life

    def show(self, *, minimized: bool) -> None:
        """Put the frame on the screen, or in the tray or task bar."""
        self.window.navigation.choose(PageName.INBOX)
        self._small = minimized
        if minimized:
            self.window.showMinimized()
        else:
            self.window.show()

    def close(self) -> None:
        """Begin the orderly end; safe to call twice."""
        self._closing.set()

    @property
    def holder(self) -> Holder | None:
        """The open profile, once there is one."""
        return self._holder

    @property
    def relay(self) -> RelayProcess | None:
        """The bundled relay's process, once the pages are built."""
        return self._relay

    async def run(self) -> None:
        """Open the profile and work until closed; then stop everything in order."""
        self._listen_for_signals()
        self._faults.install(asyncio.get_running_loop())
        try:
            self._tasks.start(self._or_tell(self._begin()), name="open the profile")
            await self._closing.wait()
        finally:
            await self._end()
            self._faults.remove()

    def _listen_for_signals(self) -> None:
        if sys.platform != "win32":
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.close)

    def _close_wanted(self) -> None:
        if self._tray is not None and self._tray.present and self._preferences.close_to_tray:
            self.window.hide()
        else:
            self._quit_wanted()

    def _quit_wanted(self) -> None:
        """End, unless guests of the bundled relay are connected: then ask first."""
        tray = self._tray is not None and self._tray.present
        pages = self.window.pages
        question = pages.relay.ask_before_quit(tray=tray) if pages is not None else None
        if question is None:
            self.close()
            return
        self.window.bring_forward()
        question.quit_wanted.connect(self.close)
        question.tray_wanted.connect(self.window.hide)

    async def _end(self) -> None:
        """Stop in the order in which things depend on each other; the window goes first."""
        self.window.close_dialogs()
        self.window.hide()
        if self._tray is not None:
            self._tray.hide()
        if self._instances is not None:
            self._instances.close()
        self.bridge.detach()
        await self._tasks.cancel_all()
        try:
            await self._let_go()
        finally:
            if self._relay is not None:
                await self._relay.stopped()
            if self._maker is not None:
                await self._maker.forget()
            self._preferences.save()

    async def _let_go(self) -> None:
        """Close the profile, if one is open."""
        if self._holder is not None:
            try:
                await self._holder.close()
            finally:
                self._holder = None

    # ------------------------------------------------------------------------------- beginning

    async def _or_tell(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; whatever keeps the window from its profile is shown in it, and logged."""
        try:
            await work
        except ModuleNotFoundError as error:
            self._give_up(
                self.tr("{0} is not installed: install agentnet-desktop[desktop].").format(error.name)
            )
            raise
        except Exception:
            self._give_up(
                self.tr("Something went wrong inside; what the program wrote on its way says more.")
            )
            raise

    def _give_up(self, sentence: str) -> None:
        from agentnet_desktop.ui.unlock import TroublePage

        trouble = TroublePage()
        trouble.quit_wanted.connect(self.close)
        trouble.retry.hide()
        trouble.words.setText(sentence)
        self._ask_in_window(trouble, "trouble")

    def _tell_fault(self) -> None:
        self.window.tell(
            self.tr("Something went wrong in the window; what you did may not be done."), Tone.BAD
        )

    async def _begin(self) -> None:
        await asyncio.sleep(0)  # lets the frame be painted first
        self._build()
        profiles = self._profiles = await self._load()
        if profiles.exists(self._profile):
            await self._open_existing(profiles)
        else:
            await self._first_run(profiles)
        self._preferences.save()
        if self._pictures is not None:
            await self._save_pictures(self._pictures)
        elif self._link:
            self.window.take_link(self._link)

    async def _save_pictures(self, folder: Path) -> None:
        from agentnet_desktop.ui.gallery import take_pictures

        await take_pictures(self.window, folder)
        self.close()

    def _picture_of_question(self, name: str) -> None:
        """Where only pictures are wanted, nobody answers: save what is asked, and end."""
        if self._pictures is not None:
            self.window.grab().save(str(self._pictures / f"{name}.png"))
            self.close()

    def _build(self) -> None:
        from agentnet_desktop.ui.hosting.relay_process import RelayProcess
        from agentnet_desktop.ui.single_instance import InstanceServer
        from agentnet_desktop.ui.tray import Tray

        if self._relay is None:
            self._relay = RelayProcess(self._profile / "relay", self)
        self.window.build_pages(self._relay)
        self._instances = InstanceServer(self._profile, self)
        self._instances.received.connect(self.window.take_link)
        if self.window.pages is not None:
            pages = self.window.pages
            pages.relay.host.address.moved.connect(self._reopen)
            self._tray = Tray(pages.inbox_model, pages.contacts_model, self._preferences, self)
            self._tray.show_wanted.connect(self.window.bring_forward)
            self._tray.quit_wanted.connect(self._quit_wanted)
            self._tray.item_wanted.connect(self._show_item)
            self.bridge.storage_changed.connect(self._tray.tell_storage)
            if self._small and self._tray.present:
                self.window.hide()  # the tray shows that it runs; without one it stays minimised

    def _show_item(self, key: str) -> None:
        self.window.bring_forward()
        self.window.show_item(key)

    async def _open_existing(self, profiles: Profiles) -> None:
        from agentnet_desktop.ui.first_run import sentence
        from agentnet_desktop.ui.unlock import BackendPage, TroublePage, UnlockPage

        unlock, trouble, other = UnlockPage(), TroublePage(), BackendPage()
        trouble.quit_wanted.connect(self.close)
        other.quit_wanted.connect(self.close)
        troubles: tuple[type[Exception], ...] = (*profiles.errors, AgentError, OSError)
        words: str | None = None
        accept = False
        while True:
            try:
                await self._host_if_wanted()
                holder = await profiles.open(self._profile, words, accept_backend=accept)
                await self._attach(profiles, holder)
                break
            except profiles.backend_changed as error:
                other.ask(str(error))
                self._ask_in_window(other, "keyring")
                accept = await first_of(other.accepted, other.again) == 0
            except profiles.locked as error:
                unlock.ask(str(error) if words is not None else "")
                self._ask_in_window(unlock, "locked")
                words = await next_of(unlock.entered)
            except troubles as error:
                trouble.words.setText(sentence(error))
                self._ask_in_window(trouble, "trouble")
                await next_of(trouble.again)
        self.window.show_page(PageName.INBOX)

    def _reopen(self) -> None:
        """Close the profile and open it anew: its agent has another relay."""
        if self._profiles is not None and self._holder is not None:
            self._tasks.start(self._or_tell(self._opened_anew(self._profiles)), name="open the profile anew")

    async def _opened_anew(self, profiles: Profiles) -> None:
        self.window.close_dialogs()
        self.bridge.detach()
        await self._let_go()
        await self._open_existing(profiles)

    def _ask_in_window(self, page: QWidget, name: str) -> None:
        self.window.show_widget(page)
        self._picture_of_question(name)

    async def _attach(self, profiles: Profiles, holder: Holder) -> None:
        """Start the agent of an open profile; a profile whose agent does not start is closed again."""
        try:
            await holder.start()
            await self._show(profiles, holder)
        except Exception:
            await holder.close()
            raise

    async def _show(self, profiles: Profiles, holder: Holder) -> None:
        """Attach an agent that has been started; whoever opened its profile closes it when that fails."""
        self._holder = holder
        try:
            await self.bridge.attach(holder.agent, profiles.keeper(holder))
        except BaseException:
            self.bridge.detach()
            self._holder = None
            raise

    async def _host_if_wanted(self) -> None:
        if self._preferences.host_relay and self._relay is not None:
            self._relay.start(port=self._preferences.relay_port, name=self._preferences.relay_name)
            try:
                await self._relay.started()
            except RuntimeError as error:
                self.window.tell(self.tr("Your relay did not start. {0}").format(error), Tone.BAD)

    # ------------------------------------------------------------------------------- first run

    async def _first_run(self, profiles: Profiles) -> None:
        from agentnet_desktop.ui.first_run import FirstRunMaker
        from agentnet_desktop.ui.wizard.wizard import Wizard

        async def show(holder: Holder) -> None:
            await self._show(profiles, holder)

        self._maker = FirstRunMaker(self._profile, profiles, self, self._preferences, self._relay, show)
        wizard = Wizard(self.bridge, self._maker.make, self._maker.restore, self.window)
        if self._link.startswith(JOIN_LINK):
            wizard.relay.take_invite(self._link)
            self._link = ""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        wizard.finished.connect(lambda code: None if ended.done() else ended.set_result(code))
        self.window.show_page(PageName.INBOX)
        wizard.open()
        self._picture_of_question("first-run")
        await ended
        made = wizard.made
        wizard.deleteLater()
        if not made:
            self.close()

    @property
    def wizard(self) -> Wizard | None:
        """The first-run wizard while it is open."""
        from agentnet_desktop.ui.wizard.wizard import Wizard

        return self.window.findChild(Wizard)
