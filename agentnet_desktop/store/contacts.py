"""Contacts, their pinned and candidate keys, and the contact links that this agent handed out.

Stores what docs/protocol.md, *Trust* and *Contact link*, asks for. It does not decide: which state follows
which is `protocol.contact`'s table, and callers pass the outcome in. Every function takes the session of the
job it is part of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import bindparam, or_
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from agentnet_desktop.store.models import ContactLinkModel, ContactModel, RefusedKeyModel
from agentnet_desktop.store.prepared import Prepared
from agentnet_desktop.store.records import Records, changed


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact. `state` is a `protocol.contact.ContactState` value."""

    agent_id: str
    state: str
    added_at: int
    name: str = ""
    identity_key: bytes | None = None  # pinned, 32 bytes; None before approval
    key_source: str = ""  # where the pinned key was read: "link", "handshake", "person"
    candidate_key: bytes | None = None  # offered, not pinned: a stranger's, or one that differs
    state_before_change: str = ""  # what declining a changed key restores
    link_token: bytes | None = field(
        default=None, repr=False
    )  # of the link of theirs that we used, for contactProof
    held: int = 0  # 1: messages wait until the person releases them
    approved_at: int | None = None
    verified_at: int | None = None
    last_exchange_at: int | None = None


@dataclass(frozen=True, slots=True)
class ContactLinkRecord:
    """One contact link that this agent handed out. The token is 32 random bytes and secret."""

    token: bytes = field(repr=False)
    link: str = field(repr=False)
    created_at: int
    expires_at: int
    bound_key: bytes | None = None  # the first identity key that used it, which may repeat it
    used_by: str = ""
    used_at: int | None = None
    withdrawn_at: int | None = None


@dataclass(frozen=True, slots=True)
class _RefusedKey:
    agent_id: str
    identity_key: bytes
    refused_at: int


_contacts = Records(ContactModel, Contact)
_links = Records(ContactLinkModel, ContactLinkRecord)
_refused = Records(RefusedKeyModel, _RefusedKey)
_by_id = _contacts.lookup(_contacts.select(_contacts.c.agent_id == bindparam("agent")))
_touch = Prepared(
    _contacts.update(_contacts.c.agent_id == bindparam("agent")).values(last_exchange_at=bindparam("time"))
)


def add(session: Session, contact: Contact) -> None:
    """Adds a contact; one with the same id, ignoring case, raises `sqlalchemy.exc.IntegrityError`."""
    _contacts.add(session, contact)


def get(session: Session, agent_id: str) -> Contact | None:
    """Returns the contact with this id, ignoring case, or None."""
    return _by_id.first(session, agent=agent_id)


def save(session: Session, contact: Contact) -> None:
    """Writes all fields of a known contact.

    Raises:
        LookupError: there is no such contact.
    """
    _contacts.save(session, contact)


def remove(session: Session, agent_id: str) -> bool:
    """Forgets a contact and the keys refused for it. Its part of the log stays. Tells whether there was one."""
    session.execute(_refused.delete(_refused.c.agent_id == agent_id))
    return changed(session, _contacts.delete(_contacts.c.agent_id == agent_id)) > 0


def every(session: Session) -> list[Contact]:
    """Returns all contacts, by id."""
    return _contacts.all(session, _contacts.select().order_by(_contacts.c.agent_id))


def by_key(session: Session, identity_key: bytes) -> list[Contact]:
    """Returns the contacts for which this 32-byte key is pinned."""
    return _contacts.all(session, _contacts.select(_contacts.c.identity_key == identity_key))


def touch(session: Session, agent_id: str, now: int) -> None:
    """Notes that something was exchanged with a contact at `now` (ms)."""
    _touch.run(session, {"agent": agent_id, "time": now})


def pull_in(session: Session, now: int) -> None:
    """Lets no contact's last exchange lie after `now` (ms): the clock was set back since."""
    late = _contacts.update(_contacts.c.last_exchange_at > now)
    session.execute(late.values(last_exchange_at=now))


def refuse_key(session: Session, agent_id: str, identity_key: bytes, now: int) -> None:
    """Remembers a 32-byte key as refused for a contact; a repeat changes nothing."""
    statement = insert(_refused.table).on_conflict_do_nothing()
    session.execute(statement, {"agent_id": agent_id, "identity_key": identity_key, "refused_at": now})


def is_refused(session: Session, agent_id: str, identity_key: bytes) -> bool:
    """Tells whether the person declined this 32-byte key for this contact."""
    c = _refused.c
    return _refused.one(session, c.agent_id == agent_id, c.identity_key == identity_key) is not None


def forget_refusal(session: Session, agent_id: str, identity_key: bytes) -> None:
    """Takes a key off the refused ones, when the person accepts it after all."""
    session.execute(_refused.delete(_refused.c.agent_id == agent_id, _refused.c.identity_key == identity_key))


def add_link(session: Session, link: ContactLinkRecord) -> None:
    """Stores a new contact link."""
    _links.add(session, link)


def links(session: Session) -> list[ContactLinkRecord]:
    """Returns all contact links, newest first."""
    return _links.all(session, _links.select().order_by(_links.c.created_at.desc()))


def get_link(session: Session, token: bytes) -> ContactLinkRecord | None:
    """Returns the link with this 32-byte token, or None."""
    return _links.one(session, _links.c.token == token)


def usable_links(session: Session, identity_key: bytes, now: int) -> list[ContactLinkRecord]:
    """Returns the links whose proof by `identity_key` (32 bytes) would count at `now` (ms).

    Those are neither withdrawn nor expired, and bound to no other key.
    """
    c = _links.c
    free = or_(c.bound_key.is_(None), c.bound_key == identity_key)
    return _links.all(session, _links.select(c.withdrawn_at.is_(None), c.expires_at > now, free))


def bind_link(session: Session, token: bytes, identity_key: bytes, used_by: str, now: int) -> bool:
    """Binds a link to the first identity key that uses it.

    Returns:
        True when the link is now, or was before, bound to this key; False when another key has it.
    """
    c = _links.c
    first = _links.update(c.token == token, c.bound_key.is_(None), c.withdrawn_at.is_(None))
    if changed(session, first.values(bound_key=identity_key, used_by=used_by, used_at=now)):
        return True
    link = get_link(session, token)
    return link is not None and link.withdrawn_at is None and link.bound_key == identity_key


def withdraw_link(session: Session, token: bytes, now: int) -> bool:
    """Withdraws a link; tells whether there was one still standing."""
    statement = _links.update(_links.c.token == token, _links.c.withdrawn_at.is_(None))
    return changed(session, statement.values(withdrawn_at=now)) > 0
