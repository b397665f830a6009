"""Private files are replaced whole, durably, and for their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agentnet_desktop.vault.files import write_private


def test_a_file_is_flushed_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"old")
    seen: list[tuple[bool, bytes]] = []
    true_fsync = os.fsync

    def watched(handle: int) -> None:
        true_fsync(handle)
        seen.append((stat.S_ISDIR(os.fstat(handle).st_mode), target.read_bytes()))

    monkeypatch.setattr(os, "fsync", watched)
    write_private(target, b"new")
    assert seen == [(False, b"old"), (True, b"new")]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_system_without_folder_handles_or_modes_is_served_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "f"
    monkeypatch.delattr(os, "fchmod")
    monkeypatch.setattr("agentnet_desktop.vault.files._FOLDERS_OPEN", False)
    write_private(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"old")

    def no_power(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", no_power)
    with pytest.raises(OSError, match="Input/output"):
        write_private(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
