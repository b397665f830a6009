"""The look-up that every state table shares."""

from __future__ import annotations

from enum import Enum

import pytest

from agentnet_desktop.protocol.table import IllegalTransition, look_up


class Light(Enum):
    RED = 1
    GREEN = 2


class Step(Enum):
    GO = 1
    STOP = 2


TABLE = {Light.RED: {Step.GO: Light.GREEN}}


def test_what_stands_in_the_table_follows() -> None:
    assert look_up(TABLE, Light.RED, Step.GO) is Light.GREEN


@pytest.mark.parametrize(("state", "event"), [(Light.RED, Step.STOP), (Light.GREEN, Step.GO)])
def test_what_does_not_stand_in_the_table_raises_and_tells_both(state: Light, event: Step) -> None:
    with pytest.raises(IllegalTransition) as caught:
        look_up(TABLE, state, event)
    assert (caught.value.state, caught.value.event) == (state, event)
    assert str(caught.value) == f"{event.name} cannot happen in {state.name}"
