"""The palette and the one style sheet, both made from the tokens.

Fusion draws the controls; the sheet only rounds, spaces and colours them. Widgets choose a look by the
properties `role` (labels), `kind` (buttons) and `tone` (chips), never by their own sheet.
"""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette

from agentnet_desktop.ui.theme import tokens
from agentnet_desktop.ui.theme.tokens import Colours, Tone


def palette(colours: Colours) -> QPalette:
    """Give Fusion's palette for one theme."""
    result = QPalette()
    roles = {
        QPalette.ColorRole.Window: colours.window,
        QPalette.ColorRole.WindowText: colours.text,
        QPalette.ColorRole.Base: colours.surface,
        QPalette.ColorRole.AlternateBase: colours.raised,
        QPalette.ColorRole.Text: colours.text,
        QPalette.ColorRole.Button: colours.surface,
        QPalette.ColorRole.ButtonText: colours.text,
        QPalette.ColorRole.BrightText: colours.bad,
        QPalette.ColorRole.ToolTipBase: colours.raised,
        QPalette.ColorRole.ToolTipText: colours.text,
        QPalette.ColorRole.Highlight: colours.accent,
        QPalette.ColorRole.HighlightedText: colours.on_accent,
        QPalette.ColorRole.PlaceholderText: colours.muted,
        QPalette.ColorRole.Link: colours.accent_text,
        QPalette.ColorRole.LinkVisited: colours.accent_text,
        QPalette.ColorRole.Light: colours.raised,
        QPalette.ColorRole.Midlight: colours.raised,
        QPalette.ColorRole.Mid: colours.border_strong,
        QPalette.ColorRole.Dark: colours.border_strong,
        QPalette.ColorRole.Shadow: colours.border_strong,
        QPalette.ColorRole.Accent: colours.accent,
    }
    for role, value in roles.items():
        result.setColor(role, QColor(value))
    disabled = QPalette.ColorGroup.Disabled
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        result.setColor(disabled, role, QColor(colours.disabled))
    return result


_SHEET = """
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {border_strong}; padding: 4px 6px; }}
QLabel {{ background: transparent; }}
QLabel[role="title"] {{ font-size: {title}px; font-weight: 600; }}
QLabel[role="heading"] {{ font-size: {heading}px; font-weight: 600; }}
QLabel[role="strong"] {{ font-weight: 600; }}
QLabel[role="muted"] {{ color: {muted}; }}
QLabel[role="small"] {{ color: {muted}; font-size: {small}px; }}
QLabel[role="section"] {{ color: {muted}; font-size: {small}px; font-weight: 600; }}
QLabel[role="error"] {{ color: {bad}; }}
QLabel[role="digits"] {{ font-family: "{mono}"; font-size: {heading}px; }}
QLabel[role="mono"] {{ font-family: "{mono}"; font-size: {small}px; }}

QFrame[card="true"] {{ background: {surface}; border: 1px solid {border}; border-radius: {radius}px; }}
QFrame[rule="true"] {{ background: {border}; border: none; }}
QWidget#sidebar {{ background: {sidebar}; }}
QWidget#sidebarEdge {{ background: {border}; }}

QPushButton {{
  background: {surface}; border: 1px solid {border_strong}; border-radius: {control}px;
  padding: 6px 14px; min-height: 18px; color: {text};
}}
QPushButton:hover {{ background: {raised}; }}
QPushButton:pressed {{ background: {border}; }}
QPushButton:focus {{ border: 2px solid {accent}; padding: 5px 13px; }}
QPushButton::menu-indicator {{ image: none; width: 0; }}
QPushButton:disabled {{ color: {disabled}; border-color: {border}; background: {raised}; }}
QPushButton:checked {{ background: {accent_tint}; border-color: {accent}; color: {accent_text}; }}
QPushButton[kind="primary"] {{
  background: {accent}; border-color: {accent}; color: {on_accent}; font-weight: 600;
}}
QPushButton[kind="primary"]:hover {{ background: {accent_hover}; border-color: {accent_hover}; }}
QPushButton[kind="primary"]:focus {{ border: 2px solid {text}; }}
QPushButton[kind="primary"]:disabled {{ background: {raised}; border-color: {border}; color: {disabled}; }}
QPushButton[kind="danger"] {{ color: {bad}; }}
QPushButton[kind="danger"]:hover {{ background: {bad_tint}; border-color: {bad}; }}
QPushButton[kind="danger"]:disabled {{ color: {disabled}; }}
QPushButton[kind="flat"] {{ background: transparent; border-color: transparent; color: {accent_text}; }}
QPushButton[kind="flat"]:hover {{ background: {accent_tint}; }}
QPushButton[kind="flat"]:focus {{ border: 2px solid {accent}; }}
QPushButton[kind="flat"]:disabled {{ color: {disabled}; background: transparent; }}

QLineEdit, QPlainTextEdit, QTextEdit, QComboBox, QDateEdit, QTimeEdit, QSpinBox {{
  background: {surface}; border: 1px solid {border_strong}; border-radius: {control}px;
  color: {text}; selection-background-color: {accent}; selection-color: {on_accent};
}}
QLineEdit, QComboBox, QDateEdit, QTimeEdit, QSpinBox {{ padding: 5px 8px; min-height: 20px; }}
QPlainTextEdit, QTextEdit {{ padding: 4px; }}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QComboBox:focus, QDateEdit:focus, QTimeEdit:focus,
QSpinBox:focus {{ border: 2px solid {accent}; }}
QLineEdit:focus, QComboBox:focus, QDateEdit:focus, QTimeEdit:focus, QSpinBox:focus {{ padding: 4px 7px; }}
QAbstractSpinBox QLineEdit, QComboBox QLineEdit, QAbstractSpinBox QLineEdit:focus {{
  border: none; padding: 0; min-height: 0; background: transparent;
}}
QTimeEdit::up-button, QSpinBox::up-button {{
  subcontrol-origin: border; subcontrol-position: top right; width: 0; border: none;
}}
QTimeEdit::down-button, QSpinBox::down-button {{
  subcontrol-origin: border; subcontrol-position: bottom right; width: 0; border: none;
}}
QComboBox:disabled {{ color: {disabled}; border-color: {border}; background: {raised}; }}
QLineEdit[invalid="true"] {{ border-color: {bad}; }}
QPlainTextEdit[code="true"] {{ font-family: "{mono}"; font-size: {code}px; background: {surface}; }}
QComboBox::drop-down, QDateEdit::drop-down {{ border: none; width: 26px; }}
QComboBox::down-arrow, QDateEdit::down-arrow {{ image: url("{arrow}"); width: 14px; height: 14px; }}
QComboBox QAbstractItemView {{
  background: {surface}; border: 1px solid {border_strong}; selection-background-color: {selection};
  selection-color: {text}; outline: 0;
}}

QAbstractItemView {{ background: {surface}; border: none; outline: 0; }}
QTableView {{
  gridline-color: transparent; selection-background-color: {selection}; selection-color: {text};
  alternate-background-color: {surface};
}}
QHeaderView {{ background: {surface}; }}
QHeaderView::section {{
  background: {surface}; color: {muted}; border: none; border-bottom: 1px solid {border};
  padding: 6px 8px; font-size: {small}px; font-weight: 600;
}}

QTreeView::item {{ padding: 4px 8px; }}

QTabWidget::pane {{ border: none; border-top: 1px solid {border}; }}
QTabBar {{ background: transparent; }}
QTabBar::tab {{
  background: transparent; color: {muted}; padding: 8px 10px; border: none;
  border-bottom: 2px solid transparent; margin-right: 2px;
}}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:focus {{ color: {accent_text}; }}
QWidget#entryActs QPushButton {{ padding: 4px 8px; }}
QWidget#entryActs QPushButton:focus {{ padding: 3px 7px; }}

QSplitter::handle {{ background: {border}; }}
QSplitter::handle:hover {{ background: {accent}; }}
QScrollArea {{ background: transparent; border: none; }}
QScrollArea > QWidget > QWidget#scrolled {{ background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {border_strong}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QStatusBar {{ background: {sidebar}; border-top: 1px solid {border}; color: {muted}; }}
QStatusBar::item {{ border: none; }}
QStatusBar QPushButton {{
  background: transparent; border: 1px solid transparent; padding: 2px 8px; color: {muted}; min-height: 18px;
}}
QStatusBar QPushButton:hover {{ background: {raised}; color: {text}; }}
QStatusBar QPushButton:focus {{ border: 2px solid {accent}; padding: 1px 7px; }}
QMenu {{ background: {surface}; border: 1px solid {border_strong}; padding: 4px; }}
QMenu::item {{ padding: 6px 20px; border-radius: 4px; }}
QMenu::item:disabled {{ color: {disabled}; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 4px 8px; }}
QMenu::item:selected {{ background: {selection}; color: {text}; }}
QProgressBar {{ border: none; background: {raised}; border-radius: 3px; max-height: 6px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QCheckBox, QRadioButton {{ spacing: 8px; min-height: 22px; }}
QCheckBox::indicator, QRadioButton::indicator, QListView::indicator {{
  width: 14px; height: 14px; border: 1px solid {border_strong}; background: {surface};
}}
QCheckBox::indicator, QListView::indicator {{ border-radius: 4px; }}
QRadioButton::indicator {{ border-radius: 8px; }}
QCheckBox::indicator:checked, QListView::indicator:checked {{
  background: {accent}; border-color: {accent}; image: url("{tick}");
}}
QRadioButton::indicator:checked {{ width: 6px; height: 6px; border: 5px solid {accent}; background: {surface}; }}
QCheckBox::indicator:focus, QRadioButton::indicator:focus {{ border-color: {accent}; }}
QCheckBox::indicator:disabled {{ background: {raised}; border-color: {border}; }}
QCheckBox:disabled {{ color: {disabled}; }}
QCheckBox:focus, QRadioButton:focus {{ color: {accent_text}; }}
"""

_CHIP = """
QLabel[tone="{tone}"] {{
  background: {tint}; color: {ink}; border-radius: {control}px; padding: 2px 8px; font-size: {small}px;
  font-weight: 600;
}}
QFrame[tone="{tone}"] {{ background: {tint}; border-radius: {radius}px; border: none; }}
QLabel[ink="{tone}"] {{ color: {ink}; }}
"""


def sheet(colours: Colours, *, scale: float, mono: str, arrow: str, tick: str) -> str:
    """Give the style sheet of one theme.

    Args:
        colours: The theme.
        scale: Factor on the type sizes, from the person's system font; at least 1.
        mono: Family of the system's fixed-width font.
        arrow: File of the arrow in combo boxes. A style sheet cannot colour it; its grey stands out on both.
        tick: File of the tick in check boxes, in the theme's `on_accent`.
    """
    measures = {
        "title": round(tokens.TYPE_TITLE * scale),
        "heading": round(tokens.TYPE_HEADING * scale),
        "small": round(tokens.TYPE_SMALL * scale),
        "code": round((tokens.TYPE_BODY - 1) * scale),
        "radius": tokens.RADIUS,
        "control": tokens.RADIUS - 2,
        "mono": mono,
        "arrow": arrow,
        "tick": tick,
    }
    values = {name: getattr(colours, name) for name in tokens.colour_names()}
    chips = "".join(
        _CHIP.format(tone=tone.value, ink=ink, tint=tint, **measures)
        for tone in Tone
        for ink, tint in [colours.tone(tone)]
    )
    return _SHEET.format(**values, **measures) + chips
