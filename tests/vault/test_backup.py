"""Backup files: opened by their passphrase only, unchanged only, and never half written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnet_desktop.vault import backup
from agentnet_desktop.vault.backup import open_backup, read_backup, seal_backup, write_backup
from agentnet_desktop.vault.errors import BadBackup, KeyringFailed, PassphraseNeeded, WrongPassphrase
from agentnet_desktop.vault.kdf import Kdf

WEAK = Kdf.weak()
PAYLOAD = b'{"identity":"seed-in-here","contacts":[]}'


@given(st.binary(max_size=500), st.text(min_size=1))
def test_a_backup_reads_back(payload: bytes, passphrase: str) -> None:
    assert open_backup(seal_backup(payload, passphrase, kdf=WEAK), passphrase) == payload


def test_a_backup_file_is_for_its_owner_only_and_holds_no_plaintext(tmp_path: Path) -> None:
    path = tmp_path / "alice.backup"
    write_backup(path, PAYLOAD, "horse", kdf=WEAK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"seed-in-here" not in path.read_bytes()
    assert read_backup(path, "horse") == PAYLOAD


def test_a_backup_is_calibrated_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "calibrate", lambda: Kdf(128, 2, 1))
    assert json.loads(seal_backup(PAYLOAD, "horse"))["kdf"] == Kdf(128, 2, 1).to_json()


def test_two_backups_share_no_bytes_that_matter() -> None:
    one, two = (json.loads(seal_backup(PAYLOAD, "horse", kdf=WEAK)) for _ in range(2))
    assert one["salt"] != two["salt"]
    assert one["sealed"] != two["sealed"]


def test_a_wrong_passphrase_is_told() -> None:
    with pytest.raises(WrongPassphrase):
        open_backup(seal_backup(PAYLOAD, "horse", kdf=WEAK), "house")


def test_a_backup_without_a_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PassphraseNeeded):
        write_backup(tmp_path / "b", PAYLOAD, "", kdf=WEAK)
    assert not (tmp_path / "b").exists()


def changed(**changes: object) -> bytes:
    return json.dumps({**json.loads(seal_backup(PAYLOAD, "horse", kdf=WEAK)), **changes}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\x00\xff",
        changed(format="something-else"),
        changed(version=2),
        changed(kdf={}),
        changed(kdf={**WEAK.to_json(), "memoryKiB": 2**40}),
        changed(salt="A"),
        changed(salt="AAAA"),
        changed(salt=None),
        changed(sealed=7),
    ],
)
def test_what_is_no_backup_is_told(data: bytes) -> None:
    with pytest.raises(BadBackup):
        open_backup(data, "horse")


@pytest.mark.parametrize(
    "change",
    [
        {"kdf": {**WEAK.to_json(), "passes": 2}},
        {"salt": "A" * 22 + "=="},
        {"sealed": ""},
        {"sealed": "A" * 64},
    ],
)
def test_a_changed_backup_does_not_open(change: dict[str, object]) -> None:
    with pytest.raises(WrongPassphrase):
        open_backup(changed(**change), "horse")


def test_a_newer_backup_says_so() -> None:
    with pytest.raises(BadBackup, match="newer version"):
        open_backup(changed(version=2), "horse")


def test_a_file_that_cannot_be_read_written_or_is_huge_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadBackup, match="cannot be read"):
        read_backup(tmp_path / "missing", "horse")
    with pytest.raises(KeyringFailed, match="cannot be written"):
        write_backup(tmp_path / "missing" / "b", PAYLOAD, "horse", kdf=WEAK)
    write_backup(tmp_path / "b", PAYLOAD, "horse", kdf=WEAK)
    monkeypatch.setattr(backup, "_MAX_FILE_BYTES", 10)
    with pytest.raises(BadBackup, match="too large"):
        read_backup(tmp_path / "b", "horse")
