"""Errors: each has one stable word, and none is another's."""

from __future__ import annotations

from agentnet_desktop.crypto import errors
from agentnet_desktop.crypto.errors import BadKey, CryptoError, HandshakeRefused, Refusal


def test_every_error_has_a_word_of_its_own() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CryptoError)
    ]
    words = [kind.kind for kind in kinds]
    assert len(kinds) == 12
    assert len(set(words)) == len(words)
    assert all(word == word.upper() for word in words)


def test_an_error_says_what_was_wrong() -> None:
    error = BadKey("a key of low order")
    assert (error.word, error.reason, str(error)) == ("BAD_KEY", "a key of low order", "a key of low order")


def test_a_refused_handshake_says_which_rule_it_broke() -> None:
    error = HandshakeRefused(Refusal.SUITE, "no suite")
    assert (error.word, error.refusal, error.reason) == ("HANDSHAKE_REFUSED:SUITE", Refusal.SUITE, "no suite")
    assert str(error) == "no suite"
