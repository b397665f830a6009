"""Moving an open profile to another relay, or to another address of the same one, by an invite link.

A part of the composition root. Identity, contacts, log and what waits in the outbox stay; contact links made from here
on name the new address. The agent is stopped first, and works at the new address once the profile is opened anew: it
enrols there at its first connection (docs/protocol.md, section "Relay authentication").
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agentnet_desktop.agent.errors import BadInput, NotAllowed
from agentnet_desktop.compose import Holder
from agentnet_desktop.new_profile import INVITE
from agentnet_desktop.profile import ProfileError, ProfileSettings, write_settings
from agentnet_desktop.protocol.contact_link import BadLink, InviteLink, parse_invite_link
from agentnet_desktop.transport.endpoint import BadEndpoint, parse_endpoint
from agentnet_desktop.vault.errors import VaultError


async def move(holder: Holder, invite: str, *, insecure: bool = False) -> None:
    """Stops a profile's agent and writes its new relay; who calls it closes the profile and opens it anew.

    Args:
        holder: the profile, open.
        invite: a link of the relay, `agentnet://join…`; its pin, or that it has none, is taken over.
        insecure: allows `ws://` to a host that is not this machine.

    Raises:
        BadInput: the link is none, or names an address that cannot be used; the agent works on.
        NotAllowed: the settings could not be written; the old ones stand, and the agent has stopped.
    """
    try:
        link = parse_invite_link(invite.strip())
        settings = moved(holder.settings, link, insecure=insecure)
    except (BadLink, BadEndpoint) as error:
        raise BadInput(str(error)) from error
    await holder.stop()
    before = holder.vault.get_token(INVITE)
    try:
        await asyncio.to_thread(holder.vault.set_token, INVITE, link.invite)
        try:
            await asyncio.to_thread(write_settings, holder.paths, settings)
        except ProfileError:
            await asyncio.to_thread(holder.vault.set_token, INVITE, before)
            raise
    except (VaultError, ProfileError) as error:
        raise NotAllowed(str(error)) from error
    holder.settings = settings


def moved(settings: ProfileSettings, link: InviteLink, *, insecure: bool) -> ProfileSettings:
    """Returns a profile's settings at the relay of a link, where it is yet to be let in.

    Raises:
        BadEndpoint: the link's address cannot be used.
    """
    endpoint = parse_endpoint(link.relay, insecure=insecure)
    return replace(
        settings,
        relay=endpoint.base,
        relay_name=link.name,
        insecure=insecure,
        tls_pin=link.cert.hex() if link.cert is not None else "",
        enrolled=False,
    )
