"""Pictures of every view in light and dark, for the demo, the documentation and the eye of a reviewer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from agentnet_desktop.ui.main_window import MainWindow
from agentnet_desktop.ui.navigation import PageName
from agentnet_desktop.ui.pages import Pages
from agentnet_desktop.ui.theme.current import ThemeChoice, ThemeSwitch

_SETTLE_S = 0.12
_LOOK_S = 0.03
_PATIENCE_S = 3.0
"""How long a view that is not complete is waited for; then the picture shows it as it is."""


def click(button: QWidget) -> None:
    """Press and release the left mouse button in the middle of a widget, as the windowing system would."""
    middle = QPoint(button.width() // 2, button.height() // 2)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)


async def _settle() -> None:
    """Give layouts, pages of the log and painting the turns of the loop that they need."""
    await asyncio.sleep(_SETTLE_S)


async def _until(complete: Callable[[], bool]) -> None:
    """Wait until a view shows what it is going to show."""
    for _ in range(int(_PATIENCE_S / _LOOK_S)):
        if complete():
            break
        await asyncio.sleep(_LOOK_S)
    await _settle()


def _is_complete(pages: Pages, page: PageName) -> bool:
    """Whether a page shows what comes a while after it: buttons that arm, the details of an entry."""
    match page:
        case PageName.INBOX:
            proposal = pages.inbox.proposal
            return not (proposal.isVisible() and proposal.waits) or proposal.accept_button.isEnabled()
        case PageName.LOG:
            return not pages.log_model.rowCount() or pages.log.details.isVisible()
    return True


def _save(widget: QWidget, path: Path) -> None:
    widget.grab().save(str(path))


async def _show_sequence(window: MainWindow) -> None:
    """Show the conversation of the entry that is selected."""
    if window.pages is not None:
        details = window.pages.log.details
        details.setCurrentWidget(details.sequence)
        await _until(lambda: bool(details.sequence.view.shown.steps))


async def take_pictures(window: MainWindow, folder: Path) -> list[Path]:
    """Save a picture of every page, the proposal dialog and the log's details, in both themes.

    Args:
        window: The window, shown; page and theme are put back afterwards.
        folder: Where to; it exists.

    Returns:
        The files.
    """
    application = QGuiApplication.instance()
    switch = application.findChild(ThemeSwitch) if isinstance(application, QApplication) else None
    pages = window.pages
    if switch is None or pages is None:
        return []
    before = switch.choice
    made: list[Path] = []
    for choice in (ThemeChoice.LIGHT, ThemeChoice.DARK):
        switch.choose(choice)
        if window.dialog is not None:
            await _settle()
            made.append(folder / f"dialog-{choice.value}.png")
            _save(window.dialog, made[-1])
        for page in PageName:
            window.show_page(page)
            if page is PageName.LOG:
                pages.log.details.setCurrentIndex(0)
                pages.log.table.selectRow(pages.log_model.rowCount() - 1)
            await _until(partial(_is_complete, pages, page))
            made.append(folder / f"{page.value}-{choice.value}.png")
            _save(window, made[-1])
            if page is PageName.LOG:
                made.append(folder / f"sequence-{choice.value}.png")
                await _show_sequence(window)
                _save(window, made[-1])
    switch.choose(before)
    window.show_page(PageName.INBOX)
    return made
