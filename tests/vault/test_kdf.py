"""Argon2id: parameters, calibration, and what is refused when they are read back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.vault.errors import VaultCorrupt
from agentnet_desktop.vault.kdf import MIN_MEMORY_KIB, Kdf, calibrate


def clock(seconds: float) -> Callable[[], float]:
    """A clock on which everything that is timed takes that long."""
    ticks = itertools.count()
    return lambda: next(ticks) * seconds


def test_the_key_is_argon2ids() -> None:
    # argon2-cffi's own test: argon2id, v = 19, m = 256 KiB, t = 2, p = 1 would need another length; this
    # one is the reference implementation's for 32 bytes: password "password", salt "somesalt" padded.
    key = Kdf(memory_kib=65536, passes=2, lanes=1).derive("password", b"somesalt")
    assert key.hex() == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"


@pytest.mark.parametrize(
    ("one_pass", "expected"),
    [
        (0.01, Kdf(262144, 12)),
        (0.03, Kdf(262144, 4)),
        (0.05, Kdf(131072, 5)),
        (0.1, Kdf(65536, 5)),
        (0.4, Kdf(65536, 3)),
        (0.0, Kdf(262144, 1000)),
    ],
)
def test_calibration_takes_about_half_a_second_and_never_less_than_64_mib(
    one_pass: float, expected: Kdf
) -> None:
    assert calibrate(clock=clock(one_pass)) == expected


def test_a_memory_that_three_passes_just_fit_into_is_taken() -> None:
    assert calibrate(target_s=1.5, clock=clock(0.125)) == Kdf(262144, 3)


def test_calibration_times_one_pass_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    def derive(kdf: Kdf, passphrase: str, salt: bytes) -> bytearray:
        happened.append(f"derive with {kdf.memory_kib} KiB, {kdf.passes} pass")
        return bytearray(32)

    def reading() -> float:
        happened.append("clock")
        return 0.1 * len(happened)

    monkeypatch.setattr(Kdf, "derive", derive)
    calibrate(clock=reading)
    one = "derive with 65536 KiB, 1 pass"
    assert happened == [one, "clock", one, "clock"]


def test_real_calibration_is_strong_enough() -> None:
    kdf = calibrate()
    assert kdf.memory_kib >= MIN_MEMORY_KIB
    assert kdf.passes >= 3


def test_only_an_explicit_argument_gives_weak_parameters() -> None:
    assert Kdf.weak().memory_kib < MIN_MEMORY_KIB
    assert calibrate(clock=clock(1e9)).memory_kib == MIN_MEMORY_KIB


def test_parameters_are_stored_and_read_back() -> None:
    kdf = Kdf(131072, 7, 2)
    assert Kdf.from_json(kdf.to_json()) == kdf


GOOD = Kdf(131072, 7, 2).to_json()


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {**GOOD, "extra": 1},
        {**GOOD, "name": "pbkdf2"},
        {**GOOD, "version": 16},
        {**GOOD, "memoryKiB": 0},
        {**GOOD, "memoryKiB": 4 * 1024 * 1024 + 1},
        {**GOOD, "memoryKiB": 15},
        {**GOOD, "memoryKiB": 131072.0},
        {**GOOD, "memoryKiB": True},
        {**GOOD, "passes": 0},
        {**GOOD, "passes": 1001},
        {**GOOD, "lanes": 0},
        {**GOOD, "lanes": 65},
        {**GOOD, "lanes": "2"},
    ],
)
def test_damaged_or_absurd_parameters_are_refused(stored: object) -> None:
    with pytest.raises(VaultCorrupt):
        Kdf.from_json(stored)


@pytest.mark.parametrize(
    "edge", [{"memoryKiB": 4 * 1024 * 1024}, {"memoryKiB": 16}, {"passes": 1000}, {"passes": 1}]
)
def test_parameters_at_the_edge_are_read(edge: dict[str, int]) -> None:
    assert Kdf.from_json({**GOOD, **edge}).to_json() == {**GOOD, **edge}


@given(st.text(), st.text())
def test_different_passphrases_give_different_keys(a: str, b: str) -> None:
    import unicodedata

    same = unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b)
    salt = bytes(16)
    assert (Kdf.weak().derive(a, salt) == Kdf.weak().derive(b, salt)) is same
