"""Awaiting Qt signals without a nested event loop."""

from __future__ import annotations

import asyncio
from functools import partial

from PySide6.QtCore import SignalInstance


async def first_of(*given: SignalInstance) -> int:
    """Wait for the first emission of one of several signals; gives its place among them."""
    came: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def take(place: int) -> None:
        if not came.done():
            came.set_result(place)

    takers = [partial(take, place) for place in range(len(given))]
    for signal_, taker in zip(given, takers, strict=True):
        signal_.connect(taker)
    try:
        return await came
    finally:
        for signal_, taker in zip(given, takers, strict=True):
            signal_.disconnect(taker)


async def next_of(given: SignalInstance) -> str:
    """Wait for the next emission of a signal; gives its text, or ""."""
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def take(*values: str) -> None:
        if not came.done():
            came.set_result(values[0] if values else "")

    given.connect(take)
    try:
        return await came
    finally:
        given.disconnect(take)
