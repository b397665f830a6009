"""Who may use the relay: its agents and invites, each to be withdrawn. It asks the relay's own command line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtWidgets import QVBoxLayout, QWidget

from agentnet_desktop.ui import text
from agentnet_desktop.ui.bridge import Bridge
from agentnet_desktop.ui.hosting.guests import AgentRow, InviteRow, NotRows, read_agents, read_invites
from agentnet_desktop.ui.hosting.relay_process import RelayFault, RelayProcess
from agentnet_desktop.ui.hosting.watch import RelayWatch
from agentnet_desktop.ui.hosting.words import invite_state
from agentnet_desktop.ui.theme.tokens import SPACE_M, SPACE_S, Tone
from agentnet_desktop.ui.trust import Mark
from agentnet_desktop.ui.widgets.confirm import Confirmation
from agentnet_desktop.ui.widgets.labels import Badge, ElidedLabel, Label
from agentnet_desktop.ui.widgets.parts import Notice, Rule, button, column, row

_MOST = 200
_ACT_WIDTH = 116


def agent_mark(agent: AgentRow, *, connected: bool) -> Mark:
    """Give the mark of an agent: shut out, there, or away."""
    if agent.revoked:
        return Mark(text.tr("Shut out"), "ban", Tone.BAD)
    if connected:
        return Mark(text.tr("Connected"), "check-circle", Tone.GOOD)
    return Mark(text.tr("Away"), "clock", Tone.NEUTRAL)


class GuestsView(QWidget):
    """The tab *Guests*."""

    def __init__(self, bridge: Bridge, relay: RelayProcess, watch: RelayWatch) -> None:
        super().__init__()
        self._bridge = bridge
        self._relay = relay
        self._watch = watch
        self.agents: tuple[AgentRow, ...] = ()
        self.invites: tuple[InviteRow, ...] = ()
        self.notice = Notice()
        self._agents, self._invites = QVBoxLayout(), QVBoxLayout()
        for lines in (self._agents, self._invites):
            lines.setSpacing(SPACE_S)
        self.refresh = button(
            self.tr("Refresh"), icon="refresh", name="relay-guests-refresh", clicked=self.load
        )
        layout = column(
            row(Label(self.tr("Agents"), "section"), None, self.refresh),
            self._agents,
            SPACE_S,
            Label(self.tr("Invites"), "section"),
            self._invites,
            self.notice,
            spacing=SPACE_M,
        )
        self.setLayout(layout)
        watch.presence_changed.connect(self._presence_changed)

    def load(self) -> None:
        """Read both lists anew."""
        self.refresh.setEnabled(False)
        self._bridge.work(
            self._read, name="list the relay's guests", owner=self, done=self._show, failed=self._failed
        )

    async def _read(self) -> tuple[tuple[AgentRow, ...], tuple[InviteRow, ...]]:
        try:
            agents = read_agents(await self._relay.command("agents", "list", "--json"))
            return agents, read_invites(await self._relay.command("invite", "list", "--json"))
        except NotRows as error:
            raise RelayFault(str(error)) from error

    def _show(self, rows: tuple[tuple[AgentRow, ...], tuple[InviteRow, ...]]) -> None:
        self.refresh.setEnabled(True)
        self.notice.show_notice("", Tone.NEUTRAL)
        self.agents, self.invites = rows
        self._fill()

    def _failed(self, sentence: str) -> None:
        self.refresh.setEnabled(True)
        self.notice.show_notice(text.peer_text(sentence), Tone.BAD)

    def _presence_changed(self) -> None:
        known = {agent.agent_id.lower() for agent in self.agents}
        if self.isVisible() and not {name.lower() for name in self._watch.presence.connected()} <= known:
            self.load()  # somebody new has used an invite
        else:
            self._fill()

    # ------------------------------------------------------------------------------- lines

    def _fill(self) -> None:
        for lines in (self._agents, self._invites):
            while (item := lines.takeAt(0)) is not None:
                if (widget := item.widget()) is not None:
                    widget.hide()
                    widget.deleteLater()
        for agent in self.agents[:_MOST]:
            self._agents.addWidget(self._agent_line(agent))
        for invite in self.invites[:_MOST]:
            self._invites.addWidget(self._invite_line(invite))
        if not self.agents:
            self._agents.addWidget(Label(self.tr("Nobody yet. Invite someone above."), "muted", wrap=True))
        if not self.invites:
            self._invites.addWidget(Label(self.tr("No invites were made."), "muted", wrap=True))
        for count, lines in ((len(self.agents), self._agents), (len(self.invites), self._invites)):
            if count > _MOST:
                words = self.tr("{0} more; agentnet-relay lists them all.").format(count - _MOST)
                lines.addWidget(Label(words, "muted", wrap=True))

    def _agent_line(self, agent: AgentRow) -> QWidget:
        presence = self._watch.presence
        name = text.peer_text(agent.agent_id, text.NAME_LIMIT)
        mark = agent_mark(agent, connected=presence.is_connected(agent.agent_id))
        act: QWidget | None = None
        if not agent.revoked:
            act = button(self.tr("Shut out …"), kind="danger", name="relay-agent-revoke",
                         clicked=lambda: self._ask_shut_out(agent.agent_id))  # fmt: skip
            act.setAccessibleName(self.tr("Shut out {0}").format(name))
        elif agent.identity_key:
            act = button(
                self.tr("Let in again"), name="relay-agent-admit", clicked=lambda: self._admit(agent)
            )
            act.setAccessibleName(self.tr("Let {0} in again").format(name))
        return self._line(name, self._agent_words(agent), mark, act)

    def _agent_words(self, agent: AgentRow) -> str:
        words = self.tr("since {0}").format(text.short_date(text.at(agent.created_at)))
        seen = self._watch.presence.last_seen(agent.agent_id)
        if seen is None or self._watch.presence.is_connected(agent.agent_id):
            return words
        return self.tr("{0} · last seen {1}").format(words, text.relative(seen, text.now_ms()))

    def _invite_line(self, invite: InviteRow) -> QWidget:
        whom = text.peer_text(invite.agent_id, text.NAME_LIMIT) or self.tr("anyone")
        uses = self.tr("{0} of {1} uses left").format(invite.uses_left, invite.uses)
        until = self.tr("until {0}").format(text.exact(invite.expires_at)[:16])
        usable = invite.state == "open"
        mark = Mark(
            invite_state(invite.state), "link" if usable else "ban", Tone.ACCENT if usable else Tone.NEUTRAL
        )
        act: QWidget | None = None
        if usable:
            act = button(self.tr("Withdraw"), kind="danger", name="relay-invite-revoke",
                         clicked=lambda: self._withdraw(invite.handle))  # fmt: skip
            act.setAccessibleName(self.tr("Withdraw invite {0}").format(invite.handle))
        return self._line(self.tr("For {0}").format(whom), f"{uses} · {until}", mark, act)

    def _line(self, name: str, words: str, mark: Mark, act: QWidget | None) -> QWidget:
        made = QWidget()
        first, second, badge = ElidedLabel(name, "strong"), ElidedLabel(words, "small"), Badge(mark)
        told = column(first, second, spacing=0)
        if act is not None:
            act.setFixedWidth(max(_ACT_WIDTH, act.sizeHint().width()))  # the badges stand below each other
        line = row(told, badge, act if act is not None else _ACT_WIDTH, spacing=SPACE_M)
        line.setStretch(0, 1)
        made.setLayout(column(line, Rule(), spacing=SPACE_S))
        made.setAccessibleName(f"{name}: {mark.word}. {words}")
        return made

    # ------------------------------------------------------------------------------- acts

    def _ask_shut_out(self, agent_id: str) -> None:
        name = text.peer_text(agent_id, text.NAME_LIMIT)
        asking = Confirmation(
            self,
            self.tr("Shut {0} out?").format(name),
            self.tr(
                "Its connection is closed at once, and no invite lets it in again; only you can. "
                "What it has received stays with it."
            ),
            self.tr("Shut out"),
        )
        asking.accepted.connect(lambda: self._act(lambda: self._relay.command("agents", "revoke", agent_id)))
        asking.open()

    def _admit(self, agent: AgentRow) -> None:
        given = ("agents", "add", agent.agent_id, "--identity-key", agent.identity_key)
        self._act(lambda: self._relay.command(*given))

    def _withdraw(self, handle: str) -> None:
        self._act(lambda: self._relay.command("invite", "revoke", handle))

    def _act(self, make: Callable[[], Coroutine[Any, Any, str]]) -> None:
        self._bridge.work(make, name="change the relay's guests", owner=self, done=lambda _out: self.load(),
                          failed=self._failed)  # fmt: skip
