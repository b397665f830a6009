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
        self.messages_forwarded_total = 0
        self.messages_received_total = 0
        self.unanswered_forwards_total = 0
        self.malformed_notes_total = 0
        self.nats_connected = 0
        self.other_relays = 0
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
    "malformed_notes_total": "What came over NATS and was no message between relays; it was dropped.",
    "messages_forwarded_total": "Messages handed to NATS, since their recipient is not connected here.",
    "messages_received_total": "Messages of other relays handed to a recipient here.",
    "messages_routed_total": "Messages handed to a recipient.",
    "nats_connected": "Whether NATS is there: 1, or 0, without NATS too.",
    "other_relays": "Other relays that are heard over NATS.",
    "refused_authentications_total": "Tokens refused.",
    "refused_connections_total": "Connections refused by a limit or a cap.",
    "started_at_seconds": "When the relay started, since the Unix epoch.",
    "unanswered_forwards_total": "Messages of which it is not known whether another relay took them.",
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


def answer(path: str, counters: Counters, *, ready: bool, cut_off: bool = False) -> tuple[int, str, str]:
    """What the metrics listener answers.

    Args:
        path: the path asked for.
        counters: what to show.
        ready: whether the relay takes new connections.
        cut_off: whether NATS is configured and gone. The relay stays ready: its agents still reach each other,
            and were it not, an outage of NATS would take all relays from behind their load balancer at once.

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
            if not ready:
                return 503, text, "going away\n"
            return 200, text, "ready, but NATS is gone\n" if cut_off else "ready\n"
        case _:
            return 404, text, "not found\n"
