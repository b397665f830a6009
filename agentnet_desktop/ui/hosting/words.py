"""What the Relay page says about the relay's end, its address and a test of it: words for the codes of the pure modules."""

from __future__ import annotations

from agentnet_desktop.ui import text
from agentnet_desktop.ui.hosting.ending import Ending, EndKind
from agentnet_desktop.ui.hosting.plan import AddressFault, Limit, Plan, Reach
from agentnet_desktop.ui.hosting.reach import Probe, Step
from agentnet_desktop.ui.text import tr
from agentnet_desktop.ui.theme.tokens import Tone

_SOON_MS = 30 * 86_400_000


def ending_sentence(end: Ending) -> str:
    """Say why the relay ended by itself, and what to do."""
    words = text.peer_text(end.words)
    if end.kind is EndKind.PORT_TAKEN:
        return tr("{0} Another program uses this port, perhaps a relay of another profile.").format(words)
    if end.kind is EndKind.REFUSED:
        return words
    how = tr("signal {0}") if end.crashed else tr("code {0}")
    ended = tr("The relay ended by itself ({0}).").format(how.format(end.code))
    return tr("{0} Its last words: {1}").format(ended, words) if words else ended


def address_fault(fault: AddressFault) -> str:
    """Say what is wrong with a typed address."""
    sentences = {
        AddressFault.EMPTY: tr("Enter the address by which guests reach this machine."),
        AddressFault.MALFORMED: tr(
            "That is no address of a machine: for example 192.168.1.10 or relay.example.org."
        ),
        AddressFault.LOOPBACK: tr("That address means this machine itself; guests would reach their own."),
        AddressFault.UNENCRYPTED: tr("ws:// is not encrypted; write wss:// or leave it out."),
        AddressFault.NO_PORT: tr("Choose a fixed port: a link that you gave out must work tomorrow too."),
    }
    return sentences[fault]


def reach_line(reach: Reach) -> str:
    """Say in a line what a choice means."""
    lines = {
        Reach.MACHINE: tr("Only programs on this machine reach it: enough to try things out."),
        Reach.NETWORK: tr(
            "It listens on every network of this machine. For guests outside your home, forward the port in your router."
        ),
        Reach.PROXY: tr(
            "A proxy on this machine, such as Caddy, has the certificate and passes connections on to the relay."
        ),
    }
    return lines[reach]


def probe_verdict(probe: Probe, origin: str, plan: Plan) -> tuple[str, Tone]:
    """Say whether the public address was reached, and what to do where it was not."""
    shown = text.peer_text(origin, text.TITLE_LIMIT)
    detail = text.peer_text(probe.detail, text.TITLE_LIMIT)
    if probe.step is Step.REACHED:
        words = tr(
            "{0} answers from here. Whether guests outside your network get through, only they can see."
        )
        return words.format(shown), Tone.GOOD
    sentences = {
        Step.NAME: tr(
            "The name in {0} has no address ({1}). Check its spelling, and its entry at your DNS provider."
        ),
        Step.CONNECT: tr("{0} cannot be reached ({1})."),
        Step.CERTIFICATE: tr("{0} shows a certificate that guests will not accept ({1})."),
        Step.TLS: tr(
            "{0} does not speak TLS ({1}). Look at the proxy's configuration, and whether the port is right."
        ),
        Step.ANSWER: tr("At {0} something answers that is no AgentNet relay ({1})."),
    }
    told = sentences[probe.step].format(shown, detail or tr("another certificate"))
    return f"{told} {_advice(probe.step, plan)}".strip(), Tone.BAD


def _advice(step: Step, plan: Plan) -> str:
    proxied = plan.reach is Reach.PROXY
    if step is Step.CONNECT and proxied:
        return tr("Is the proxy running, and does the firewall let its port through?")
    if step is Step.CONNECT:
        return tr(
            "Is the relay running, is this still the machine's address, and does the firewall let the port through? "
            "Some routers let nobody inside reach the outer address; then ask a guest to try."
        )
    if step is Step.CERTIFICATE and proxied:
        return tr("Let the proxy renew it; guests check the name and the date.")
    if step is Step.CERTIFICATE:
        return tr("Another machine may have this address now.")
    if step is Step.ANSWER and proxied:
        return tr("The proxy must pass the address on to the relay's own.")
    return ""


def certificate_line(until_s: int, now_ms: int) -> tuple[str, Tone]:
    """Say until when the relay's certificate is good.

    Args:
        until_s: Seconds since the Unix epoch; 0 where the relay speaks no TLS itself.
        now_ms: This moment.
    """
    if not until_s:
        return tr("none of its own"), Tone.NEUTRAL
    until = until_s * 1000
    day = text.short_date(text.at(until))
    if until <= now_ms:
        return tr("expired on {0}: guests are refused").format(day), Tone.BAD
    words = tr("good until {0} ({1})").format(day, text.relative(until, now_ms))
    return words, Tone.WARN if until - now_ms < _SOON_MS else Tone.NEUTRAL


def limit_fact(limit: Limit) -> tuple[str, str]:
    """Name a limit, and say its value."""
    names = {
        "connections": (tr("Connections in all"), "{0}"),
        "address_connections": (tr("Connections from one address"), "{0}"),
        "agent_messages_per_second": (tr("Messages of one agent"), tr("{0} a second")),
        "agent_bytes_per_second": (tr("Data of one agent"), tr("{0} a second")),
        "address_connections_per_minute": (tr("New connections from one address"), tr("{0} a minute")),
        "address_failures_per_minute": (tr("Refused sign-ins from one address"), tr("{0} a minute")),
        "handshakes_per_minute": (tr("First contacts of one agent"), tr("{0} a minute")),
        "queue_bytes_max": (tr("Waiting for one slow reader"), "{0}"),
    }
    name, pattern = names.get(limit.key, (limit.key, "{0}"))
    shown = text.size if "bytes" in limit.key else _count
    value = pattern.format(shown(int(limit.value)))
    if limit.burst is not None:
        value = tr("{0}, and {1} at once").format(value, shown(int(limit.burst)))
    return name, value


def _count(number: int) -> str:
    return text.locale().toString(number)


def invite_state(state: str) -> str:
    """Say in a word where an invite stands."""
    words = {
        "open": tr("open"),
        "used": tr("used up"),
        "expired": tr("expired"),
        "revoked": tr("withdrawn"),
    }
    return words.get(state, text.peer_text(state, text.NAME_LIMIT))
