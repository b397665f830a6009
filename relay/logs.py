"""The relay's log: one line an event on stderr, as text or JSON.

No line holds content, a token or an invite code; addresses are cut to their network unless the operator asks
for them. What is logged is decided where it happens; here it gets its form.
"""

from __future__ import annotations

import logging
import sys
import time

import msgspec

from relay.config import Config


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return (
            f"{stamp} {record.levelname.lower()} {record.getMessage()}{_told(record)}{_trace(self, record)}"
        )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": int(record.created * 1000),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = _trace(self, record)
        return msgspec.json.encode(line).decode()


def _told(record: logging.LogRecord) -> str:
    return "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info else ""


def configure(config: Config) -> None:
    """Send the log to stderr in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if config.log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level.upper())
