"""Words for the screen: a peer's text made safe, and times, durations and sizes in the person's locale.

Implements no section of docs/protocol.md. Whatever a peer wrote goes through `peer_text`, and then into a
widget that shows plain text only.
"""

from __future__ import annotations

import html
import time
import unicodedata
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PySide6.QtCore import QCoreApplication, QDate, QLocale, QTime, QTimeZone

from agentnet_desktop.agent.display import visible

NAME_LIMIT = 64
TITLE_LIMIT = 160
SENTENCE_LIMIT = 280
DESCRIPTION_LIMIT = 4000
SHORT_DATE = "ddd d MMM"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def tr(text: str, count: int = -1) -> str:
    """Translate a sentence of ours that belongs to no widget."""
    return QCoreApplication.translate("AgentNet", text, "", count)


def peer_text(text: str, limit: int = SENTENCE_LIMIT, *, multiline: bool = False) -> str:
    """Make a peer's words safe to show in a plain-text widget.

    Right-to-left words are isolated, so that they cannot reorder the sentence around them.

    Args:
        text: What the peer wrote.
        limit: Greatest length in characters.
        multiline: Keep line feeds.
    """
    shown = visible(text, limit, multiline=multiline)
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in shown):
        return f"\u2068{shown}\u2069"
    return shown


def tooltip(words: str) -> str:
    """Give words as a tooltip shows them: Qt takes what looks like markup for markup, and a peer may write that."""
    if "<" not in words and "&" not in words:
        return words
    return "<span>" + html.escape(words).replace("\n", "<br>") + "</span>"


def locale() -> QLocale:
    """Give the person's locale; plain English where the system names none."""
    system = QLocale.system()
    if system.language() == QLocale.Language.C:
        return QLocale(QLocale.Language.English, QLocale.Country.UnitedKingdom)
    return system


def local_zone_name() -> str:
    """Give the IANA name of this machine's time zone, or its abbreviation where there is none."""
    name = bytes(QTimeZone.systemTimeZoneId().data()).decode("ascii", "replace")
    return "UTC" if name in ("Etc/UTC", "UTC", "") else name


def zone(name: str) -> ZoneInfo | None:
    """Give the zone of an IANA name, or None when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def now_ms() -> int:
    """Give this moment in ms since the epoch."""
    return time.time_ns() // 1_000_000


def at(moment_ms: int, where: tzinfo | None = None) -> datetime:
    """Give the wall-clock time of a moment.

    Args:
        moment_ms: Milliseconds since the epoch.
        where: The zone; None is this machine's.
    """
    bounded = min(max(moment_ms, 0), 253_402_200_000_000)  # the year 9999, the last that datetime knows
    utc = datetime.fromtimestamp(bounded / 1000, tz=ZoneInfo("UTC"))
    return utc.astimezone(where)


def qdate(moment: datetime) -> QDate:
    """Give the day of a moment as Qt has it."""
    return QDate(moment.year, moment.month, moment.day)


def long_date(moment: datetime) -> str:
    """Give a date with its weekday, as the person's locale writes it."""
    return locale().toString(qdate(moment), QLocale.FormatType.LongFormat)


def short_date(moment: datetime) -> str:
    """Give a date in figures, as the person's locale writes it."""
    return locale().toString(qdate(moment), QLocale.FormatType.ShortFormat)


def short_time(moment: datetime) -> str:
    """Give hours and minutes, as the person's locale writes them."""
    return locale().toString(QTime(moment.hour, moment.minute), QLocale.FormatType.ShortFormat)


def precise_time(moment: datetime) -> str:
    """Give hours to milliseconds, as a log needs them."""
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def exact(moment_ms: int, where: tzinfo | None = None) -> str:
    """Give date and time to the second, with the zone: for tooltips and details."""
    moment = at(moment_ms, where)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:]}"


def span(start: datetime, end: datetime) -> str:
    """Give `15:00 – 16:00`, with the second date where it differs."""
    if start.date() == end.date():
        return f"{short_time(start)} – {short_time(end)}"
    return f"{short_time(start)} – {long_date(end)}, {short_time(end)}"


def duration(milliseconds: int) -> str:
    """Give a duration in words: `1 h 30 min`, `2 d 4 h`, `45 s`."""
    seconds = max(0, milliseconds) // 1000
    if seconds < _MINUTE:
        return tr("{0} s").format(seconds)
    parts = []
    for size, word in ((_DAY, tr("{0} d")), (_HOUR, tr("{0} h")), (_MINUTE, tr("{0} min"))):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(word.format(count))
    return " ".join(parts[:2])


def relative(moment_ms: int, now_ms: int) -> str:
    """Give how long ago a moment was, or how soon it comes."""
    distance = moment_ms - now_ms
    if abs(distance) < _MINUTE * 1000:
        return tr("just now") if distance <= 0 else tr("in a moment")
    words = duration(abs(distance)).split(" ")
    coarse = " ".join(words[:2])
    return tr("{0} ago").format(coarse) if distance < 0 else tr("in {0}").format(coarse)


def size(count: int) -> str:
    """Give a number of bytes in words; an empty text for none."""
    if count <= 0:
        return ""
    if count < 1024:
        return f"{count} B"
    decimals = 1 if count < 10 * 1024 else 0
    return locale().formattedDataSize(count, decimals, QLocale.DataSizeFormat.DataSizeIecFormat)


def key_store(name: str) -> str:
    """Name the place where the keys are kept, as the person knows it; a keyring is recorded by its module."""
    known = {
        "file": tr("Vault file"),
        "SecretService": tr("System keyring (Secret Service)"),
        "libsecret": tr("System keyring (libsecret)"),
        "kwallet": tr("KDE Wallet"),
        "macOS": tr("macOS Keychain"),
        "Windows": tr("Windows Credential Manager"),
    }
    parts = name.split(".")
    if parts[:2] == ["keyring", "backends"] and len(parts) > 2:
        return known.get(parts[2], peer_text(parts[2], NAME_LIMIT))
    return known.get(name, peer_text(name, NAME_LIMIT))


def storage_words(problem: str) -> str:
    """Say what it means that nothing new can be stored; "" when all is well."""
    if not problem:
        return ""
    meanwhile = tr("What arrives meanwhile is not acknowledged, so it is sent again; what you do is refused.")
    return f"{peer_text(problem)} {meanwhile}"


def groups(digits: str, length: int = 5) -> list[str]:
    """Cut a safety number into groups of `length` digits."""
    return [digits[start : start + length] for start in range(0, len(digits), length)]
