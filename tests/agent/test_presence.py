"""The watch set: everybody from whom messages may come, as far as one envelope has room."""

from __future__ import annotations

from agentnet_desktop.agent.ground import Turn
from agentnet_desktop.protocol.contact import ContactState
from agentnet_desktop.store import contacts
from agentnet_desktop.store.contacts import Contact
from relay.wire.envelope import MessageType
from tests.agent.conftest import Peer, World


async def know(peer: Peer, count: int, length: int = 64) -> None:
    """Gives an agent approved contacts with long ids; the higher its number, the later one was heard of."""

    def job(turn: Turn) -> None:
        for number in range(count):
            agent_id = f"c{number:04}".ljust(length, "x")
            contacts.add(
                turn.session,
                Contact(agent_id, ContactState.APPROVED, turn.now, last_exchange_at=turn.now + number),
            )

    await peer.agent._ground.turn(job)


async def reconnect(world: World, peer: Peer) -> list[str]:
    """Returns the watch set that an agent sends after connecting anew."""
    world.relay.cut(peer.agent_id)
    await world.settle()
    world.relay.restore(peer.agent_id)
    await world.settle()
    watch: list[str] = world.relay.sent(peer.agent_id, MessageType.PRESENCE)[-1].content["watch"]
    return watch


async def test_everybody_from_whom_messages_may_come_is_watched(world: World, alice: Peer) -> None:
    await know(alice, 900)
    assert len(await reconnect(world, alice)) == 900
    assert not any("cannot reach you" in words for words in await alice.summaries())


async def test_of_more_contacts_than_one_envelope_holds_the_latest_are_watched_and_it_is_said_once(
    world: World, alice: Peer
) -> None:
    world.relay.max_message_bytes = 4096
    await know(alice, 60)
    watch = await reconnect(world, alice)
    assert 50 <= len(watch) < 60
    assert [agent_id[:5] for agent_id in watch] == [f"c{n:04}" for n in range(60 - len(watch), 60)]
    await reconnect(world, alice)
    said = [words for words in await alice.summaries() if "cannot reach you" in words]
    assert said == [
        f"The relay cannot watch for {60 - len(watch)} of your contacts: they cannot reach you now"
    ]


async def test_at_most_a_thousand_are_watched(world: World, alice: Peer) -> None:
    await know(alice, 1_010, length=8)
    assert len(await reconnect(world, alice)) == 1_000


async def test_who_is_blocked_is_not_watched(world: World, friends: tuple[Peer, Peer]) -> None:
    alice, _ = friends
    assert await reconnect(world, alice) == ["bob"]
    await alice.agent.block_contact("bob")
    assert await reconnect(world, alice) == []
