"""The look: contrast, live switching, icons that follow the theme."""

from __future__ import annotations

import re

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from agentnet_desktop.resources import resource
from agentnet_desktop.ui.theme import current, icons, style
from agentnet_desktop.ui.theme.current import ThemeChoice, ThemeSwitch
from agentnet_desktop.ui.theme.tokens import (
    DARK,
    LIGHT,
    MINIMUM_CONTRAST,
    Colours,
    colour_names,
    contrast,
    text_pairs,
)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda colours: colours.name)
def test_every_text_can_be_read_on_its_background(colours: Colours) -> None:
    weak = {what: round(contrast(ink, ground), 2) for what, ink, ground in text_pairs(colours)}
    assert {what: ratio for what, ratio in weak.items() if ratio < MINIMUM_CONTRAST} == {}


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda colours: colours.name)
def test_the_sheet_uses_no_colour_that_is_no_token(colours: Colours) -> None:
    known = {str(getattr(colours, name)) for name in colour_names()}
    made = style.sheet(colours, scale=1.0, mono="Mono", arrow="a.svg", tick="t.svg")
    assert set(re.findall(r"#[0-9a-f]{6}\b", made)) <= known


def test_the_theme_switches_while_running(qapp: QApplication, theme: ThemeSwitch, qtbot: QtBot) -> None:
    with qtbot.waitSignal(theme.changed):
        theme.choose(ThemeChoice.DARK)
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(DARK.window)
    assert current.colours() is DARK
    theme.choose(ThemeChoice.LIGHT)
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(LIGHT.window)


def _ink(name: str, side: int) -> set[str]:
    image = icons.icon(name).pixmap(QSize(side, side)).toImage()
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {pixel.name() for pixel in pixels if pixel.alpha() == 255}


def test_an_icon_takes_its_colour_from_the_theme_in_force(theme: ThemeSwitch) -> None:
    assert _ink("stop", 40) == {LIGHT.text}
    theme.choose(ThemeChoice.DARK)
    assert _ink("stop", 40) == {DARK.text}


def test_every_icon_is_ours_to_the_rule() -> None:
    for path in resource("icons").glob("*.svg"):
        source = path.read_text(encoding="utf-8")
        assert 'viewBox="0 0 20 20"' in source, path.name
        if not path.stem.startswith("field-"):
            assert 'stroke="currentColor" stroke-width="1.5"' in source, path.name
            assert "#" not in source, path.name


def test_every_icon_that_code_names_exists(theme: ThemeSwitch) -> None:
    named: set[str] = set()
    for path in resource("icons").parent.parent.glob("agentnet_desktop/ui/**/*.py"):
        source = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'icon="([a-z-]+)"', source))
        named |= set(re.findall(r'(?:IconLabel|EmptyState|icons\.icon)\(\s*"([a-z-]+)"', source))
    assert len(named) > 20
    assert named <= set(icons.icon_names())
