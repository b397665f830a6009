"""Trust: what a handshake does to a contact, and whether it may be answered.

Implements docs/protocol.md, *Trust*: a key is pinned at approval; a handshake under another key than the
pinned one sets KEY_CHANGED and stops sending; an agent that is not approved gets no answer and so learns
nothing; a valid contact proof binds the link to the key that first used it, and approves that one alone. What
a person decides is in `people`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from agentnet_desktop.agent.ground import Ground, Turn
from agentnet_desktop.crypto.errors import CryptoError
from agentnet_desktop.crypto.handshake import Offer, check_contact_proof
from agentnet_desktop.protocol.contact import ContactEvent, ContactState, gets_answers, next_state
from agentnet_desktop.store import contacts, proposals
from agentnet_desktop.store.contacts import Contact

if TYPE_CHECKING:
    from agentnet_desktop.agent.journal import Journal
    from agentnet_desktop.agent.presence import Presence

KEY_CHANGED = "KEY_CHANGED"


class Answer(Enum):
    """What to do with a checked handshake."""

    ANSWER = "answer it"
    KEEP = "keep it until a person decides"
    SILENT = "log it and nothing else"


class Trust:
    """The contacts of one agent, as handshakes see them."""

    def __init__(self, ground: Ground, journal: Journal, presence: Presence) -> None:
        """Keeps the rooms it works with."""
        self._ground = ground
        self._journal = journal
        self._presence = presence

    def contact(self, turn: Turn, agent_id: str) -> Contact | None:
        """Returns a contact, or None."""
        return contacts.get(turn.session, agent_id)

    def move(self, turn: Turn, contact: Contact, event: ContactEvent, **fields: object) -> Contact:
        """Moves a contact to the state that follows, with other fields beside it, and tells faces.

        Raises:
            IllegalTransition: the table has no such step; nothing changes.
        """
        state = next_state(ContactState(contact.state), event)
        return self.save(turn, replace(contact, state=state, **fields))  # type: ignore[arg-type]

    def save(self, turn: Turn, contact: Contact) -> Contact:
        """Stores a contact, tells faces, and renews the watch set."""
        contacts.save(turn.session, contact)
        self._journal.forget_name(contact.agent_id)
        self._presence.tell(turn, contact)
        self._presence.announce(turn)
        return contact

    def asked(self, turn: Turn, offer: Offer) -> tuple[Contact, Answer, str]:
        """Judges a checked handshake that asks for a session.

        Returns:
            The contact as it now stands, what to do, and a few words for the log.
        """
        contact = contacts.get(turn.session, offer.agent_id)
        if contact is None:
            contact = Contact(offer.agent_id, ContactState.UNKNOWN, turn.now)
            contacts.add(turn.session, contact)
        proved = self._proves(turn, offer)  # whoever it is: the first key that uses a link has used it up
        if contact.state == ContactState.BLOCKED:
            return contact, Answer.SILENT, "from a blocked agent"
        if contacts.is_refused(turn.session, contact.agent_id, offer.identity_key):
            return contact, Answer.SILENT, "under a key that you refused"
        if contact.identity_key is None:
            return self._first_key(turn, contact, offer, proved=proved)
        if contact.identity_key != offer.identity_key:
            return self._other_key(turn, contact, offer), Answer.KEEP, "under another key; you must decide"
        if not gets_answers(ContactState(contact.state)):
            return contact, Answer.SILENT, "not answered while its key is in doubt"
        return contact, Answer.ANSWER, ""

    def _first_key(
        self, turn: Turn, contact: Contact, offer: Offer, *, proved: bool
    ) -> tuple[Contact, Answer, str]:
        if gets_answers(ContactState(contact.state)):
            return self.pin(turn, contact, offer.identity_key), Answer.ANSWER, ""
        if proved:
            contact = self.move(
                turn,
                contact,
                ContactEvent.PROVE,
                identity_key=offer.identity_key,
                key_source="handshake",
                candidate_key=None,
                approved_at=turn.now,
            )
            return contact, Answer.ANSWER, "it used your contact link"
        contact = self.move(turn, contact, ContactEvent.ASKED, candidate_key=offer.identity_key)
        return contact, Answer.KEEP, "waits for your approval"

    def pin(self, turn: Turn, contact: Contact, identity_key: bytes) -> Contact:
        """Pins the first key of an approved contact; what was proposed before it was known is proposed to it."""
        proposals.carry_over(turn.session, contact.agent_id, b"", identity_key)
        return self.save(
            turn, replace(contact, identity_key=identity_key, key_source="handshake", candidate_key=None)
        )

    def _other_key(self, turn: Turn, contact: Contact, offer: Offer) -> Contact:
        before = contact.state_before_change if contact.state == ContactState.KEY_CHANGED else contact.state
        repeated = contact.candidate_key == offer.identity_key
        contact = self.move(
            turn,
            contact,
            ContactEvent.CHANGE_KEY,
            candidate_key=offer.identity_key,
            state_before_change=before,
        )
        self._journal.park(turn, contact.agent_id, KEY_CHANGED)
        if not repeated:
            name = self._journal.name(turn, contact.agent_id)
            self._journal.security(
                turn,
                peer=contact.agent_id,
                kind=KEY_CHANGED,
                words=f"{name} uses another identity key than before. Nothing is sent until you decide: "
                f"ask {name} by another way whether the key is theirs, then accept or refuse it.",
            )
        return contact

    def answered(self, turn: Turn, offer: Offer) -> tuple[Contact | None, str]:
        """Judges a checked response to a handshake of ours.

        Returns:
            The contact with its key pinned, or None when the session must not come about; and a few words.
        """
        self._proves(turn, offer)
        contact = contacts.get(turn.session, offer.agent_id)
        if contact is None or contact.state == ContactState.BLOCKED:
            return None, "from an agent that is no contact any more"
        if contacts.is_refused(turn.session, contact.agent_id, offer.identity_key):
            return None, "under a key that you refused"
        if contact.identity_key not in (None, offer.identity_key):
            self._other_key(turn, contact, offer)
            return None, "under another key; you must decide"
        if not gets_answers(ContactState(contact.state)):
            return None, "while its key is in doubt"
        if contact.identity_key is None:
            contact = self.pin(turn, contact, offer.identity_key)
        return contact, ""

    def _proves(self, turn: Turn, offer: Offer) -> bool:
        """Tells whether a handshake proves knowledge of a link of ours, and binds the link to its key."""
        if offer.contact_proof is None:
            return False
        for link in contacts.usable_links(turn.session, offer.identity_key, turn.now):
            try:
                check_contact_proof(offer, link.token)
            except CryptoError:
                continue
            return contacts.bind_link(turn.session, link.token, offer.identity_key, offer.agent_id, turn.now)
        return False

    def session_ready(self, turn: Turn, agent_id: str) -> None:
        """Tells faces that a session with a contact stands."""
        contact = contacts.get(turn.session, agent_id)
        if contact is not None:
            self._presence.tell(turn, contact)
