"""The small relay of `small_relay`, and a client at its desk, as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relay.wire.envelope import Envelope
from tests.transport.small_relay import Relay, at_desk, envelope


@pytest.fixture
def relay() -> Callable[..., Relay]:
    """Makes a relay from scripts; run it with `async with relay(...).running()`."""
    return lambda *scripts, **options: Relay(list(scripts), **options)


@pytest.fixture
def desk() -> Callable[..., Any]:
    """Runs a client against an address: `async with desk(address) as d`."""
    return at_desk


@pytest.fixture
def make_envelope() -> Callable[..., Envelope]:
    return envelope
