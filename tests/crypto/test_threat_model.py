"""The threat model's promises: each names tests, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = (TESTS.parent / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", DOCUMENT)


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_test_that_the_threat_model_names_exists() -> None:
    assert len(NAMED) > 50
    assert [f"{path}::{name}" for path, name in NAMED if name not in names_in(path)] == []


def test_every_promise_names_what_holds_it() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", DOCUMENT, re.MULTILINE)
    promises = [row for row in rows if row[0] not in ("promise", "thing") and "::" not in row[0]]
    promises = promises[promises.index(next(row for row in promises if "reads no content" in row[0])) :]
    elsewhere = ("the import rules in `pyproject.toml`", "all tests of the table above")
    without = [row[0] for row in promises if "::" not in row[1] and not row[1].startswith(elsewhere)]
    assert without == []
    assert len(promises) > 30


def test_no_named_attack_is_left_out_of_the_threat_model() -> None:
    attacks = names_in("crypto/test_attacks.py")
    minor = {
        "test_any_single_flipped_bit_of_a_sealed_messages_bytes_is_a_bad_signature",
        "test_a_message_opened_under_another_conversations_keys_is_refused",
        "test_a_suite_choice_changed_on_the_way_is_refused",
        "test_an_ephemeral_key_is_no_identity_key",
        "test_a_session_takes_no_ciphertext_of_another_cipher",
        "test_a_response_to_another_initiation_of_the_same_session_is_refused",
    }
    named = {name for _, name in NAMED}
    assert {name for name in attacks if name.startswith("test_")} - named == minor
