"""The commands about contacts: links, approval, changed keys, held messages, safety numbers.

One line of delegation each, as in `commands`; the work is `people`'s.
"""

from __future__ import annotations

from agentnet_desktop.agent.errors import NotFound
from agentnet_desktop.agent.events import ContactChanged, ContactView, LinkView
from agentnet_desktop.agent.people import People
from agentnet_desktop.agent.presence import Presence
from agentnet_desktop.agent.timing import DAY_MS
from agentnet_desktop.agent.upkeep import Upkeep
from agentnet_desktop.agent.views import link_view
from agentnet_desktop.protocol.session import SessionState
from agentnet_desktop.store import contacts, sessions


class ContactCommands(Upkeep):
    """What a face may ask about the people that an agent knows."""

    _presence: Presence
    _people: People

    async def contacts(self) -> list[ContactView]:
        """Returns all contacts, sorted by name."""
        found = await self._ground.db.read(contacts.every)
        return sorted((self._presence.view(contact) for contact in found), key=lambda view: view.name.lower())

    async def create_contact_link(self, expires_in_ms: int = 7 * DAY_MS) -> LinkView:
        """Makes a contact link to hand to someone: it names this agent, its relay, its key, a one-time token.

        Args:
            expires_in_ms: life of the link's token, 1 ms to 366 days.
        """
        return await self._ground.turn(lambda turn: self._people.create_link(turn, expires_in_ms))

    async def contact_links(self) -> list[LinkView]:
        """Returns all links made here, newest first, used and withdrawn ones too."""
        return [link_view(record) for record in await self._ground.db.read(contacts.links)]

    async def withdraw_contact_link(self, token: str) -> None:
        """Withdraws a link that was handed out; who is a contact already stays one.

        Args:
            token: of the link, b64url, as `LinkView.token` has it.
        """
        await self._ground.turn(lambda turn: self._people.withdraw_link(turn, token))

    async def add_contact(self, link: str, *, name: str | None = None) -> ContactView:
        """Adds the contact that a link names and starts a handshake with it. The face has asked the person.

        Args:
            link: `agentnet://contact/…`.
            name: how the person calls the contact; the agentId if left out.

        Returns:
            The contact: VERIFIED when the link brought its key.

        Raises:
            BadInput: not a contact link, one's own link, or one for another relay (names both).
            NotAllowed: the link has another key than the pinned one, or the contact is blocked.
        """
        return await self._ground.turn(lambda turn: self._people.add(turn, link, name))

    async def wait_contact(self, agent_id: str, timeout_s: float) -> ContactView | None:
        """Waits until a session with the contact exists.

        Returns:
            The contact, or None when the time is up.
        """

        async def ready() -> ContactView | None:
            contact, stands = await self._ground.db.read(
                lambda session: (
                    contacts.get(session, agent_id),
                    bool(sessions.of_peer(session, agent_id, (SessionState.ACTIVE,))),
                )
            )
            return self._presence.view(contact) if contact is not None and stands else None

        return await self._ground.until(ContactChanged, ready, timeout_s)

    async def approve_contact(self, agent_id: str, *, seen: str | None = None) -> ContactView:
        """Approves an agent that asks for contact: pins its key and answers its handshake.

        Args:
            agent_id: the agent.
            seen: fingerprint of the key that the person was shown; another one is not pinned. None: whichever.
        """
        return await self._ground.turn(lambda turn: self._people.approve(turn, agent_id, seen))

    async def block_contact(self, agent_id: str) -> ContactView:
        """Blocks an agent: nothing of it is answered or shown any more, but for the log."""
        return await self._ground.turn(lambda turn: self._people.block(turn, agent_id))

    async def remove_contact(self, agent_id: str) -> ContactView:
        """Forgets a contact: its key, sessions and waiting messages; the log stays."""
        return await self._ground.turn(lambda turn: self._people.remove(turn, agent_id))

    async def accept_key(self, agent_id: str, *, seen: str | None = None) -> ContactView:
        """Accepts the changed key of a contact: pins it, wipes old sessions, holds queued messages.

        Args:
            agent_id: the contact.
            seen: as in `approve_contact`.
        """
        return await self._ground.turn(lambda turn: self._people.accept_key(turn, agent_id, seen))

    async def refuse_key(self, agent_id: str, *, seen: str | None = None) -> ContactView:
        """Refuses the changed key of a contact for good and restores the contact's state; `seen` as above."""
        return await self._ground.turn(lambda turn: self._people.refuse_key(turn, agent_id, seen))

    async def release_messages(self, agent_id: str) -> int:
        """Sends the messages that were held since a changed key was accepted; returns how many."""
        return await self._ground.turn(lambda turn: self._people.release(turn, agent_id))

    async def drop_messages(self, agent_id: str) -> int:
        """Gives up the messages that were held since a changed key was accepted; returns how many."""
        return await self._ground.turn(lambda turn: self._people.drop_held(turn, agent_id))

    async def safety_number(self, agent_id: str) -> str:
        """Returns the 60 digits that two people compare; NotFound before a key is known."""
        contact = await self._ground.db.read(lambda session: contacts.get(session, agent_id))
        if contact is None:
            raise NotFound(f"There is no contact {agent_id}.")
        return self._people.number(contact)

    async def verify_contact(self, agent_id: str, number: str | None = None) -> ContactView:
        """Marks a contact VERIFIED.

        Args:
            agent_id: the contact.
            number: the digits read out by the other side (spaces do not matter); None: the person
                compared them by eye.

        Raises:
            BadInput: the number is another one. The contact's state does not change.
        """
        return await self._ground.turn(lambda turn: self._people.verify(turn, agent_id, number))
