"""`agentnet propose --wait`: what each end of a proposal means to a script."""

from __future__ import annotations

import argparse

import pytest

from agentnet_desktop.agent.events import Direction, ProposalView
from agentnet_desktop.cli import outcome, propose


class Answered:
    """An agent whose proposal has come to an end."""

    def __init__(self, view: ProposalView) -> None:
        self.view = view
        self.agent = self

    async def propose(self, peers: list[str], draft: object) -> list[ProposalView]:
        return [self.view]

    async def wait_proposal(self, ref: str, timeout_s: float) -> ProposalView:
        return self.view

    async def __aenter__(self) -> Answered:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Has nothing to close."""


def ended(state: str, note: str = "") -> ProposalView:
    return ProposalView(
        peer="bob", proposal_id="prop_1", revision=1, direction=Direction.OUT, state=state, title="Tea",
        description="", start=0, end=3_600_000, time_zone="", local_start="", location="", address="",
        meeting_type="OTHER", participants=(), alternatives=(), expires_at=1_000, conversation_id="conv_1",
        note=note,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "note", "code", "words"),
    [
        ("ACCEPTED", "", outcome.DONE, "accepted"),
        ("REJECTED", "", outcome.REJECTED, "rejected"),
        ("EXPIRED", "", outcome.NO_ANSWER, "expired without an answer"),
        ("EXPIRED", "Not delivered: TOO_LARGE", outcome.FAILED, "failed: Not delivered: TOO_LARGE"),
    ],
)
async def test_the_exit_code_tells_how_a_proposal_ended(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
    note: str,
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr("agentnet_desktop.cli.access.commander", lambda _: Answered(ended(state, note)))
    args = argparse.Namespace(
        agent_ids=["bob"], title="Tea", start="2026-06-01T10:00Z", end="2026-06-01T11:00Z", tz=None,
        location="", expires=None, wait=1.0, json=False,
    )  # fmt: skip
    assert await propose.run(args) == code
    assert words in capsys.readouterr().out
