"""What an operator may count: totals without names, in Prometheus' text format.

Plain integers that the event loop alone changes, so counting costs next to nothing. No label ever names an
agent, an address or a message. The listener that serves them is in the shell.
"""

from __future__ import annotations

from typing import Final


class Counters:
    """Running totals since the start, and gauges.

    Attributes are named as their metrics, without the prefix `agentnet_relay_`; `_HELP` says what each counts.
    """

    def __init__(self) -> None:
        self.authentications_total = 0
        self.refused_authentications_total = 0
        self.messages_routed_total = 0
        self.bytes_routed_total = 0
        self.connections = 0
        self.unauthenticated_connections = 0
        self.connections_total = 0
        self.refused_connections_total = 0
        self.started_at_seconds = 0
        self.certificate_expires_at_seconds = 0
        self.errors_total: dict[str, int] = {}
        self.closed_total: dict[int, int] = {}

    def error(self, code: str) -> None:
        """Count an ERROR sent, by its code."""
        self.errors_total[code] = self.errors_total.get(code, 0) + 1

    def closed(self, code: int) -> None:
        """Count a connection closed by the relay, by its close code."""
        self.closed_total[code] = self.closed_total.get(code, 0) + 1


_PREFIX: Final = "agentnet_relay_"
_HELP: Final = {
    "authentications_total": "Connections that authenticated, and tokens renewed.",
    "bytes_routed_total": "Bytes of the messages handed to a recipient.",
    "certificate_expires_at_seconds": "When the TLS certificate expires, since the Unix epoch; 0 without TLS.",
    "closed_total": "Connections that the relay closed, by close code.",
    "connections": "Open connections.",
    "connections_total": "Connections accepted.",
    "errors_total": "ERROR messages sent, by code.",
    "messages_routed_total": "Messages handed to a recipient.",
    "refused_authentications_total": "Tokens refused.",
    "refused_connections_total": "Connections refused by a limit or a cap.",
    "started_at_seconds": "When the relay started, since the Unix epoch.",
    "unauthenticated_connections": "Open connections that have not authenticated.",
}


def render(counters: Counters) -> str:
    """The counters in Prometheus' text exposition format, version 0.0.4."""
    lines: list[str] = []
    for name, words in _HELP.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {_PREFIX}{name} {words}", f"# TYPE {_PREFIX}{name} {kind}"]
        value = getattr(counters, name)
        if isinstance(value, dict):
            lines += [f'{_PREFIX}{name}{{code="{code}"}} {count}' for code, count in sorted(value.items())]
        else:
            lines.append(f"{_PREFIX}{name} {value}")
    return "\n".join(lines) + "\n"


def answer(path: str, counters: Counters, *, ready: bool) -> tuple[int, str, str]:
    """What the metrics listener answers.

    Args:
        path: the path asked for.
        counters: what to show.
        ready: whether the relay takes new connections.

    Returns:
        HTTP status, content type, body.
    """
    text = "text/plain; charset=utf-8"
    match path:
        case "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", render(counters)
        case "/healthz":
            return 200, text, "ok\n"
        case "/readyz":
            return (200, text, "ready\n") if ready else (503, text, "going away\n")
        case _:
            return 404, text, "not found\n"
