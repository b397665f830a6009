"""The network watch: what is news and what is not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import pytest

from agentnet_desktop.transport import network
from agentnet_desktop.transport.network import NetworkWatch, local_addresses


def changes(seen: Sequence[tuple[str, ...]]) -> list[int]:
    """At which looks a watch tells of a change."""
    news: list[int] = []
    looks = iter(seen)
    watch = NetworkWatch(lambda: news.append(-1), look=lambda: next(looks))
    for number in range(len(seen)):
        before = len(news)
        watch.look()
        news[before:] = [number] * (len(news) - before)
    return news


def test_an_address_that_came_back_is_news() -> None:
    assert changes([("10.0.0.1",), (), (), ("10.0.0.1",), ("10.0.0.1",)]) == [3]


def test_another_address_is_news() -> None:
    assert changes([("10.0.0.1",), ("10.0.0.2",), ("10.0.0.2", "2001:db8::5"), ("10.0.0.2",)]) == [1, 2, 3]


def test_the_first_address_and_a_loss_are_none() -> None:
    assert changes([("10.0.0.1",), ()]) == []


async def test_it_looks_again_and_again_until_cancelled() -> None:
    news = asyncio.Event()
    looks = iter([("10.0.0.1",), ("10.0.0.1",), ("10.0.0.2",)])
    watch = NetworkWatch(news.set, look=lambda: next(looks), every_s=0.001)
    task = asyncio.get_running_loop().create_task(watch.run())
    async with asyncio.timeout(10):
        await news.wait()
    task.cancel()


def test_the_machine_says_from_where_it_would_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_FAR_AWAY", ((socket.AF_INET, "127.0.0.1"),))
    assert local_addresses() == ("127.0.0.1",)


def test_without_a_route_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_FAR_AWAY", ((socket.AF_INET, "255.255.255.255"),))
    assert local_addresses() == ()


def test_all_it_returns_are_addresses() -> None:
    for address in local_addresses():
        ipaddress.ip_address(address)
