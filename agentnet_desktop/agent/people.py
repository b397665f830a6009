"""What a person decides about contacts: adding, approving, blocking, removing, keys, links, safety numbers.

Implements docs/protocol.md, *Trust* and *Contact link*, as far as a person is asked. Every method runs inside a
turn. What handshakes do to contacts is `trust`'s affair.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentnet_desktop.agent import policy
from agentnet_desktop.agent.errors import BadInput, NotAllowed, NotFound
from agentnet_desktop.agent.events import ContactView, LinkView
from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.agent.trust import KEY_CHANGED, Trust
from agentnet_desktop.agent.views import link_view, number_of
from agentnet_desktop.crypto.keys import fingerprint
from agentnet_desktop.crypto.safety_number import same_number
from agentnet_desktop.protocol import contact as states
from agentnet_desktop.protocol.contact import ContactEvent, ContactState, IllegalTransition
from agentnet_desktop.protocol.contact_link import BadLink, ContactLink, parse_contact_link
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, outbox, proposals, sessions
from agentnet_desktop.store.contacts import Contact, ContactLinkRecord
from relay.wire.envelope import agent_key

if TYPE_CHECKING:
    from agentnet_desktop.agent.conversations import Conversations
    from agentnet_desktop.agent.delivery import Delivery
    from agentnet_desktop.agent.handshakes import Handshakes
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.negotiation import Negotiation
    from agentnet_desktop.agent.presence import Presence
    from agentnet_desktop.agent.queries import Queries

_LONGEST_LINK = 366 * DAY_MS
_PORTS = {"ws": 80, "wss": 443}


def origin(url: str) -> tuple[str, str, int]:
    """Returns what makes two relay addresses the same: scheme, host, port."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def base_url(endpoint: str) -> str:
    """Returns a relay's base address, which contact links name."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


class People:
    """The contacts of one agent, as a person decides about them."""

    def __init__(
        self,
        ground: Ground,
        journal: Journal,
        trust: Trust,
        presence: Presence,
        handshakes: Handshakes,
        conversations: Conversations,
        delivery: Delivery,
        *,
        negotiation: Negotiation,
        queries: Queries,
    ) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._trust = trust
        self._presence = presence
        self._handshakes = handshakes
        self._conversations = conversations
        self._delivery = delivery
        self._negotiation = negotiation
        self._queries = queries

    def the(self, turn: Turn, agent_id: str) -> Contact:
        """Returns a contact.

        Raises:
            NotFound: there is none of that id.
        """
        contact = contacts.get(turn.session, agent_id)
        if contact is None:
            raise NotFound(f"There is no contact {agent_id}.")
        return contact

    def sendable(self, turn: Turn, agent_id: str) -> Contact:
        """Returns a contact to which messages may go.

        Raises:
            NotFound: there is none of that id.
            NotAllowed: its state forbids sending.
        """
        contact = self.the(turn, agent_id)
        if not states.may_send(ContactState(contact.state)):
            why = {
                ContactState.KEY_CHANGED: "its key changed: accept or refuse the new key first",
                ContactState.BLOCKED: "it is blocked",
            }.get(ContactState(contact.state), "it is not approved")
            raise NotAllowed(f"Nothing can be sent to {contact.agent_id}: {why}.")
        return contact

    def _move(self, turn: Turn, contact: Contact, event: ContactEvent, **fields: object) -> Contact:
        try:
            return self._trust.move(turn, contact, event, **fields)
        except IllegalTransition:
            raise NotAllowed(f"{contact.agent_id} is {contact.state}: that is not possible now.") from None

    # ------------------------------------------------------------------------------------------- links

    def create_link(self, turn: Turn, expires_in_ms: int) -> LinkView:
        """Makes a contact link with a fresh token."""
        if not 1 <= expires_in_ms <= _LONGEST_LINK:
            raise BadInput("A contact link lives for at most 366 days.")
        token = self._ground.random(32)
        link = ContactLink(
            agent_id=self._ground.agent_id,
            relay=base_url(self._ground.relay_url),
            key=self._ground.identity.public,
            token=token,
            expires=turn.now + expires_in_ms,
        )
        record = ContactLinkRecord(token, link.format(), turn.now, link.expires)
        contacts.add_link(turn.session, record)
        return link_view(record)

    def withdraw_link(self, turn: Turn, token: str) -> None:
        """Withdraws a link that was handed out."""
        for record in contacts.links(turn.session):
            if link_view(record).token == token:
                contacts.withdraw_link(turn.session, record.token, turn.now)
                return
        raise NotFound("There is no contact link with this token.")

    def add(self, turn: Turn, text: str, name: str | None) -> ContactView:
        """Adds the contact that a link names, and starts a handshake with it."""
        try:
            link = parse_contact_link(text.strip())
        except BadLink as error:
            raise BadInput(str(error)) from None
        if agent_key(link.agent_id) == agent_key(self._ground.agent_id):
            raise BadInput("This is your own contact link: give it to somebody else.")
        if origin(link.relay) != origin(self._ground.relay_url):
            raise BadInput(
                f"{link.agent_id} is on the relay {link.relay}, you are on {base_url(self._ground.relay_url)}: "
                "both must use the same one."
            )
        contact = contacts.get(turn.session, link.agent_id)
        if contact is None:
            contact = Contact(link.agent_id, ContactState.UNKNOWN, turn.now)
            contacts.add(turn.session, contact)
        elif contact.state == ContactState.BLOCKED:
            raise NotAllowed(f"{contact.agent_id} is blocked: approve it first.")
        elif contact.identity_key is not None and contact.identity_key != link.key:
            raise NotAllowed(
                f"This link has another key than the one known for {contact.agent_id}; nothing was changed. "
                "Ask by another way which is right."
            )
        contact = self._move(
            turn,
            contact,
            ContactEvent.VERIFY,
            name=name or contact.name,
            identity_key=link.key,
            key_source="link",
            candidate_key=None,
            link_token=link.token if link.expires > turn.now else None,
            approved_at=contact.approved_at or turn.now,
            verified_at=turn.now,
        )
        self._begin(turn, contact, proving=contact.link_token is not None)
        return self._presence.view(contact)

    def _begin(self, turn: Turn, contact: Contact, *, proving: bool = False) -> None:
        """Answers a handshake that waits, or starts one; not where a session stands, unless a link is to be proved.

        The maker of a link may have removed this agent and its session since.
        """
        if self._conversations.has_session(turn, contact.agent_id) and not proving:
            return
        if self._handshakes.answer_kept(turn, contact):
            return
        conversation_id = self._conversations.choose(turn, contact)
        if proving:  # a handshake under way that proves nothing, or another link, may go unanswered
            self._handshakes.prove(turn, contact, conversation_id)
        else:
            self._handshakes.ensure(turn, contact, conversation_id)

    # ----------------------------------------------------------------------------------------- decisions

    def approve(self, turn: Turn, agent_id: str, seen: str | None) -> ContactView:
        """Approves an agent: pins the key it offered and answers its handshake."""
        contact = self.the(turn, agent_id)
        _must_be(contact.identity_key or contact.candidate_key, seen)
        contact = self._move(
            turn,
            contact,
            ContactEvent.APPROVE,
            identity_key=contact.identity_key or contact.candidate_key,
            key_source=contact.key_source or "handshake",
            candidate_key=None,
            approved_at=contact.approved_at or turn.now,
        )
        self._begin(turn, contact)
        return self._presence.view(contact)

    def block(self, turn: Turn, agent_id: str) -> ContactView:
        """Blocks an agent: its sessions are wiped and messages to it end."""
        contact = self.the(turn, agent_id)
        contact = self._move(turn, contact, ContactEvent.BLOCK)
        sessions.wipe_peer(turn.session, contact.agent_id, SessionState.CLOSED)
        self._end_all(turn, contact)
        return self._presence.view(contact)

    def remove(self, turn: Turn, agent_id: str) -> ContactView:
        """Forgets a contact, its sharing policy included; the log stays. Who is removed can only ask again."""
        contact = self.the(turn, agent_id)
        sessions.wipe_peer(turn.session, contact.agent_id, SessionState.CLOSED)
        sessions.remove_peer(turn.session, contact.agent_id)
        self._delivery.forget_conversations(contact.agent_id)
        self._end_all(turn, contact)
        policy.forget(turn.session, contact.agent_id)
        self._withdraw_used(turn, contact)
        self._queries.close(turn, contact)
        self._negotiation.close(turn, contact)
        contacts.remove(turn.session, contact.agent_id)
        self._journal.forget_name(contact.agent_id)
        self._presence.tell(turn, contact, removed=True)
        self._presence.announce(turn)
        return self._presence.view(contact)

    def _end_all(self, turn: Turn, contact: Contact) -> None:
        """Ends what is on its way to a contact, and denies in silence what it asked for."""
        self._delivery.end_peer(turn, contact.agent_id)
        self._queries.deny_all(turn, contact)

    def _withdraw_used(self, turn: Turn, contact: Contact) -> None:
        """Withdraws the links that a contact has used, under whichever key."""
        for link in contacts.links(turn.session):
            by_key = link.bound_key is not None and link.bound_key == contact.identity_key
            if by_key or agent_key(link.used_by) == agent_key(contact.agent_id):
                contacts.withdraw_link(turn.session, link.token, turn.now)

    def accept_key(self, turn: Turn, agent_id: str, seen: str | None) -> ContactView:
        """Pins the changed key of a contact; what waits in the outbox is held until the person releases it.

        To accept says that the contact is the same: proposals with it and our queries go on under the new key.
        What the old key asked waits no more, for nobody may get another's answers.
        """
        contact = self._changed(turn, agent_id, seen)
        self._queries.deny_all(turn, contact)
        proposals.carry_over(
            turn.session, contact.agent_id, contact.identity_key or b"", contact.candidate_key or b""
        )
        sessions.wipe_peer(turn.session, contact.agent_id, SessionState.CLOSED, contact.identity_key)
        for known in sessions.conversations(turn.session, contact.agent_id):
            if known.ended_at is None:
                sessions.save_conversation(turn.session, replace(known, ended_at=turn.now))
        held = self._journal.park(turn, contact.agent_id, KEY_CHANGED)
        contact = self._move(
            turn,
            contact,
            ContactEvent.ACCEPT_KEY,
            identity_key=contact.candidate_key,
            key_source="person",
            candidate_key=None,
            state_before_change="",
            link_token=None,
            held=int(held > 0),
            approved_at=turn.now,
            verified_at=None,
        )
        self._begin(turn, contact)
        return self._presence.view(contact)

    def release(self, turn: Turn, agent_id: str) -> int:
        """Sends what was held since a changed key was accepted; returns how many messages."""
        contact = self.sendable(turn, agent_id)
        released = outbox.wake_peer(turn.session, contact.agent_id, turn.now, reasons=(KEY_CHANGED,))
        self._trust.save(turn, replace(contact, held=0))
        self._delivery.look(turn)
        return released

    def drop_held(self, turn: Turn, agent_id: str) -> int:
        """Gives up what was held since a changed key was accepted; returns how many messages."""
        contact = self.sendable(turn, agent_id)
        held = [row for row in outbox.of_peer(turn.session, contact.agent_id) if row.reason == KEY_CHANGED]
        for row in held:
            self._delivery.cancel(turn, row.message_id)
        self._trust.save(turn, replace(contact, held=0))
        return len(held)

    def refuse_key(self, turn: Turn, agent_id: str, seen: str | None) -> ContactView:
        """Refuses the changed key for good and restores the contact's state."""
        contact = self._changed(turn, agent_id, seen)
        key = contact.candidate_key or b""
        contacts.refuse_key(turn.session, contact.agent_id, key, turn.now)
        sessions.wipe_peer(turn.session, contact.agent_id, SessionState.CLOSED, key)
        event = states.refusal(ContactState(contact.state_before_change))
        contact = self._move(turn, contact, event, candidate_key=None, state_before_change="")
        outbox.wake_peer(turn.session, contact.agent_id, turn.now, reasons=(KEY_CHANGED,))
        self._delivery.look(turn)
        return self._presence.view(contact)

    def _changed(self, turn: Turn, agent_id: str, seen: str | None) -> Contact:
        contact = self.the(turn, agent_id)
        if contact.state != ContactState.KEY_CHANGED or contact.candidate_key is None:
            raise NotAllowed(f"The key of {contact.agent_id} has not changed.")
        _must_be(contact.candidate_key, seen)
        return contact

    def verify(self, turn: Turn, agent_id: str, number: str | None) -> ContactView:
        """Marks a contact VERIFIED after its safety number was compared."""
        contact = self.the(turn, agent_id)
        if number is not None and not same_number(number, self.number(contact)):
            raise BadInput(
                "This is not the safety number of the two of you. Read it again; if it still differs, "
                "somebody may be in between: do not go on."
            )
        if contact.identity_key is None:
            raise NotAllowed(f"The key of {contact.agent_id} is not known yet: approve it first.")
        contact = self._move(turn, contact, ContactEvent.VERIFY, verified_at=turn.now)
        return self._presence.view(contact)

    def number(self, contact: Contact) -> str:
        """Returns the safety number with a contact: of its pinned key, else of the one it offered."""
        key = contact.identity_key or contact.candidate_key
        if key is None:
            raise NotFound(f"The key of {contact.agent_id} is not known yet.")
        return number_of(self._ground.agent_id, self._ground.identity.public, contact.agent_id, key)


def _must_be(key: bytes | None, seen: str | None) -> None:
    """Refuses a decision about another key than the one whose fingerprint the person saw."""
    if seen is not None and (key is None or fingerprint(key) != seen):
        raise NotAllowed("Another key has come since you looked. Look again before you decide.")
