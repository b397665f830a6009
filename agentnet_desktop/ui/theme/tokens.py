"""The tokens of the look: spacing, type, radius, and the colours of the light and the dark theme.

Everything that is painted takes its measures and colours from here. Pure data and the arithmetic of
contrast (WCAG 2.2, relative luminance); no Qt, so that a test can check every pair without a window.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

SPACE_XS, SPACE_S, SPACE_M, SPACE_L, SPACE_XL = 4, 8, 12, 16, 24
TYPE_SMALL, TYPE_BODY, TYPE_HEADING, TYPE_TITLE = 11, 13, 15, 20
RADIUS = 8
ICON = 20
MINIMUM_CONTRAST = 4.5


class Tone(StrEnum):
    """What a coloured mark means. A tone never stands alone: an icon or a word says the same."""

    NEUTRAL = "neutral"
    ACCENT = "accent"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Colours:
    """One theme. Every value is `#rrggbb`."""

    name: str
    window: str  # behind everything
    sidebar: str
    surface: str  # cards, tables, fields
    raised: str  # hovered rows, headers, code
    border: str
    border_strong: str  # edges of fields and buttons
    text: str
    muted: str
    disabled: str
    accent: str  # primary buttons, focus, selection marks
    on_accent: str
    accent_hover: str
    accent_tint: str
    accent_text: str  # accent as a text colour
    good: str
    good_tint: str
    warn: str
    warn_tint: str
    bad: str
    bad_tint: str
    on_bad: str
    selection: str  # background of a selected row; the text keeps its colour

    def tone(self, tone: Tone) -> tuple[str, str]:
        """Give the text colour and the tint of `tone`."""
        pairs = {
            Tone.NEUTRAL: (self.muted, self.raised),
            Tone.ACCENT: (self.accent_text, self.accent_tint),
            Tone.GOOD: (self.good, self.good_tint),
            Tone.WARN: (self.warn, self.warn_tint),
            Tone.BAD: (self.bad, self.bad_tint),
        }
        return pairs[tone]


LIGHT = Colours(
    name="light",
    window="#f4f5f8",
    sidebar="#eceef3",
    surface="#ffffff",
    raised="#f1f3f7",
    border="#dde1e9",
    border_strong="#c3c9d5",
    text="#1a1e27",
    muted="#566072",
    disabled="#9aa2b1",
    accent="#3b5bcb",
    on_accent="#ffffff",
    accent_hover="#3350b8",
    accent_tint="#e6ebfb",
    accent_text="#3350b8",
    good="#17693f",
    good_tint="#dff3e7",
    warn="#7a5200",
    warn_tint="#fbeed2",
    bad="#ab2320",
    bad_tint="#fbe5e3",
    on_bad="#ffffff",
    selection="#e2e8fa",
)

DARK = Colours(
    name="dark",
    window="#14161b",
    sidebar="#101217",
    surface="#1b1e25",
    raised="#242831",
    border="#2d323d",
    border_strong="#414857",
    text="#e6e9ef",
    muted="#a3abba",
    disabled="#666e7d",
    accent="#8ea6ff",
    on_accent="#10142a",
    accent_hover="#a7baff",
    accent_tint="#262d4a",
    accent_text="#a9baff",
    good="#79d3a1",
    good_tint="#17352a",
    warn="#eabf6a",
    warn_tint="#3a2f17",
    bad="#ff9c93",
    bad_tint="#42211f",
    on_bad="#2a0d0b",
    selection="#2a3354",
)


def text_pairs(colours: Colours) -> list[tuple[str, str, str]]:
    """List every pair of text and background that the window uses.

    Returns:
        `(what, foreground, background)`; the contrast of each must be at least `MINIMUM_CONTRAST`.
    """
    pairs = [
        (f"{text} on {ground}", getattr(colours, text), getattr(colours, ground))
        for text in ("text", "muted", "accent_text")
        for ground in ("window", "sidebar", "surface", "raised", "selection")
    ]
    pairs += [
        (f"{tone} on {ground}", colours.tone(tone)[0], getattr(colours, ground))
        for tone in (Tone.GOOD, Tone.WARN, Tone.BAD)
        for ground in ("window", "surface", "raised", "selection")
    ]
    pairs += [(f"{tone} on its tint", *colours.tone(tone)) for tone in Tone]
    pairs += [(f"text on {tone} tint", colours.text, colours.tone(tone)[1]) for tone in Tone]
    pairs.append(("on_accent on accent", colours.on_accent, colours.accent))
    pairs.append(("on_accent on accent_hover", colours.on_accent, colours.accent_hover))
    pairs.append(("on_bad on bad", colours.on_bad, colours.bad))
    return pairs


def luminance(colour: str) -> float:
    """Give the relative luminance of `#rrggbb`, 0 (black) to 1 (white)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Give the contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colour_names() -> list[str]:
    """List the names of the colour tokens."""
    return [field.name for field in fields(Colours) if field.name != "name"]
