"""docs/protocol.md sections 12 (errors) and 3.6 (close codes)."""

from __future__ import annotations

import pytest

from relay.wire.errors import ERRORS, ClientAction, CloseCode, ErrorCode, WireError

DOCUMENT = {
    "CONNECTION_ERROR": ClientAction.RECONNECT,
    "AUTHENTICATION_ERROR": ClientAction.RENEW_TOKEN,
    "TIMEOUT_ERROR": ClientAction.RETRY_LONGER,
    "MESSAGE_ERROR": ClientAction.RETRY,
    "ENCRYPTION_ERROR": ClientAction.CHECK_KEYS,
    "INVALID_MESSAGE_FORMAT": ClientAction.RESEND_ONCE,
    "AUTHENTICATION_FAILED": ClientAction.RENEW_TOKEN,
    "CONNECTION_LIMIT_EXCEEDED": ClientAction.RECONNECT,
    "RATE_LIMIT_EXCEEDED": ClientAction.SLOW_DOWN,
    "RECIPIENT_NOT_FOUND": ClientAction.QUEUE,
    "SERVER_ERROR": ClientAction.RETRY,
    "SENDER_MISMATCH": ClientAction.FAIL,
    "UNAVAILABLE_DATA": ClientAction.TELL,
    "PERMISSION_DENIED": ClientAction.TELL,
    "INVALID_PARAMETERS": ClientAction.TELL,
    "INTERNAL_ERROR": ClientAction.TELL,
}


def test_every_code_of_the_document_stands_in_the_table_with_its_strategy() -> None:
    assert {code.value: meaning.client_action for code, meaning in ERRORS.items()} == DOCUMENT
    assert set(ERRORS) == set(ErrorCode)
    assert all(meaning.code is code for code, meaning in ERRORS.items())


def test_every_code_says_whether_and_when_to_try_again() -> None:
    for meaning in ERRORS.values():
        assert (meaning.retry_after_ms > 0) is meaning.recoverable


def test_what_trying_again_cannot_mend_is_not_recoverable() -> None:
    hopeless = {code for code, meaning in ERRORS.items() if not meaning.recoverable}
    assert hopeless == {
        ErrorCode.SENDER_MISMATCH,
        ErrorCode.UNAVAILABLE_DATA,
        ErrorCode.PERMISSION_DENIED,
        ErrorCode.INVALID_PARAMETERS,
    }


@pytest.mark.parametrize("code", [1001, 4408, 4413, 4429, 4503])
def test_a_client_reconnects_by_itself_after_these_closes(code: int) -> None:
    assert CloseCode(code).retryable
    assert not CloseCode(code).needs_fresh_token


@pytest.mark.parametrize("code", [1000, 1009, 4400, 4409])
def test_a_client_waits_for_a_person_after_these_closes(code: int) -> None:
    assert not CloseCode(code).retryable
    assert not CloseCode(code).needs_fresh_token


def test_a_client_comes_back_with_a_fresh_token_after_4401() -> None:
    assert CloseCode(4401).needs_fresh_token
    assert not CloseCode(4401).retryable


def test_there_are_no_other_close_codes() -> None:
    assert sorted(CloseCode) == [1000, 1001, 1009, 4400, 4401, 4408, 4409, 4413, 4429, 4503]


def test_a_wire_error_names_the_field_the_reason_and_the_message() -> None:
    error = WireError("content.nonce", "is missing", message_id="msg_1", details={"limit": 3})
    assert str(error) == "content.nonce: is missing"
    assert error.code is ErrorCode.INVALID_MESSAGE_FORMAT
    assert error.error_details() == {
        "field": "content.nonce",
        "reason": "is missing",
        "limit": 3,
        "originalMessageId": "msg_1",
    }


def test_a_wire_error_about_an_unreadable_message_names_no_message() -> None:
    error = WireError("frame", "is not JSON", code=ErrorCode.MESSAGE_ERROR)
    assert error.code is ErrorCode.MESSAGE_ERROR
    assert error.error_details() == {"field": "frame", "reason": "is not JSON"}


RETRY_AFTER_MS = {
    "CONNECTION_ERROR": 1_000,
    "AUTHENTICATION_ERROR": 1_000,
    "TIMEOUT_ERROR": 10_000,
    "MESSAGE_ERROR": 5_000,
    "ENCRYPTION_ERROR": 5_000,
    "INVALID_MESSAGE_FORMAT": 1_000,
    "SENDER_MISMATCH": 0,
    "AUTHENTICATION_FAILED": 1_000,
    "CONNECTION_LIMIT_EXCEEDED": 30_000,
    "RATE_LIMIT_EXCEEDED": 5_000,
    "RECIPIENT_NOT_FOUND": 300_000,
    "SERVER_ERROR": 5_000,
    "UNAVAILABLE_DATA": 0,
    "PERMISSION_DENIED": 0,
    "INVALID_PARAMETERS": 0,
    "INTERNAL_ERROR": 60_000,
}


def test_the_delays_are_those_of_the_document() -> None:
    assert {code.value: meaning.retry_after_ms for code, meaning in ERRORS.items()} == RETRY_AFTER_MS
