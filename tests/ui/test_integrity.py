"""What verifying the log found, in words."""

from __future__ import annotations

import pytest

from agentnet_desktop.audit.verify import Report
from agentnet_desktop.ui.security.integrity import report_words
from agentnet_desktop.ui.theme.tokens import Tone


@pytest.mark.parametrize(
    ("signed", "held", "words"),
    [
        (0, 0, "Nobody holds a statement about how far it goes."),
        (7, 0, "Complete up to entry 7 by its owner's signature; nobody else says so."),
        (
            7,
            5,
            "Complete up to entry 7 by its owner's signature, up to 5 by what the key store or others hold.",
        ),
        (7, 7, "Complete up to entry 7, by what the key store or others hold."),
    ],
)
def test_completeness_is_told_by_whose_word_it_is(signed: int, held: int, words: str) -> None:
    report = Report(
        problems=(), entries=9, stubs=0, undisclosed=0, unproven=0, signatures=3, commitments=2, receipts=1,
        first=1, last=9, head=bytes(32), anchored_to=signed, keys={}, held_to=held,
    )  # fmt: skip
    told, tone = report_words(report)
    assert told.endswith(words)
    assert told.startswith("Intact, 9 entries. Proved authors: 3, contents: 2, receipts: 1.")
    assert tone is Tone.GOOD


def test_delivery_steps_that_nothing_proves_are_counted() -> None:
    report = Report(
        problems=(), entries=9, stubs=7, undisclosed=0, unproven=0, signatures=3, commitments=2, receipts=1,
        first=1, last=9, head=bytes(32), anchored_to=9, keys={}, loose_steps=4,
    )  # fmt: skip
    told, tone = report_words(report)
    assert "Delivery steps that no entry here proves: 4." in told
    assert tone is Tone.GOOD
