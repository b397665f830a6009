"""A profile's folder: settings without secrets, paths that fit, and a lock for one holder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentnet_desktop.profile import (
    NoProfile,
    ProfileDamaged,
    ProfileInUse,
    ProfileLock,
    ProfilePaths,
    ProfileSettings,
    ProfileUnwritable,
    default_profile,
    holder_pid,
    is_held,
    read_settings,
    write_settings,
)
from tests.processes import ROOT

SETTINGS = ProfileSettings(
    profile_id="00ff", agent_id="alice", fingerprint="aa bb", relay="wss://relay:443", enrolled=True
)


def test_settings_come_back_as_they_were_written_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    paths = ProfilePaths(tmp_path)
    write_settings(paths, SETTINGS)
    assert read_settings(paths) == SETTINGS
    assert paths.settings.stat().st_mode & 0o777 == 0o600
    write_settings(paths, replace(SETTINGS, enrolled=False))
    assert not read_settings(paths).enrolled


def test_a_folder_without_settings_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(NoProfile, match="agentnet init"):
        read_settings(ProfilePaths(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b'{"version": 1}', b"\xff", b'{"version": 99}', b'{"version": "1"}',
     json.dumps({"version": 1, "profile_id": 3, "agent_id": "a", "fingerprint": "", "relay": ""}).encode(),
     json.dumps({"version": 1, "profile_id": "", "agent_id": "a", "fingerprint": "", "relay": "", "enrolled": 1}).encode()],
)  # fmt: skip
def test_damaged_settings_are_refused_in_words_and_left_alone(tmp_path: Path, content: bytes) -> None:
    paths = ProfilePaths(tmp_path)
    paths.settings.write_bytes(content)
    with pytest.raises(ProfileDamaged):
        read_settings(paths)
    assert paths.settings.read_bytes() == content


def test_settings_of_a_newer_version_with_more_in_them_are_named_as_such(tmp_path: Path) -> None:
    paths = ProfilePaths(tmp_path)
    paths.settings.write_bytes(b'{"version": 2}')
    with pytest.raises(ProfileDamaged, match="newer version"):
        read_settings(paths)


def test_a_folder_that_takes_no_files_is_told(tmp_path: Path) -> None:
    missing = ProfilePaths(tmp_path / "gone")
    with pytest.raises(ProfileUnwritable, match="No such file"):
        write_settings(missing, SETTINGS)
    with pytest.raises(ProfileUnwritable, match="cannot be locked"):
        ProfileLock(missing)


def test_a_second_holder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    paths = ProfilePaths(tmp_path)
    code = (
        "import sys; from pathlib import Path; from agentnet_desktop.profile import *\n"
        "lock = ProfileLock(ProfilePaths(Path(sys.argv[1])), brief=sys.argv[2] == 'brief')\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    for kind in ("holder", "brief"):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), kind],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as other:  # fmt: skip
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            assert is_held(paths)
            with pytest.raises(ProfileInUse, match=f"process {other.pid}") as refused:
                ProfileLock(paths)
            assert (refused.value.pid, refused.value.brief) == (other.pid, kind == "brief")
            other.kill()  # the system frees the lock, however the holder ends
    assert not is_held(paths)
    ProfileLock(paths).release()


def test_a_released_lock_names_nobody_and_can_be_released_again(tmp_path: Path) -> None:
    paths = ProfilePaths(tmp_path)
    assert not is_held(paths)
    lock = ProfileLock(paths)
    assert holder_pid(paths) is not None
    lock.release()
    lock.release()
    assert holder_pid(paths) is None


def test_the_socket_path_always_fits_into_a_socket_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ProfilePaths(Path("/srv/a/profile")).socket == Path("/srv/a/profile/run/control.sock")
    long = Path("/srv") / ("ä" * 60) / "profile"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert ProfilePaths(long).socket.parent == Path("/run/user/1000/agentnet")
    assert len(str(ProfilePaths(long).socket)) < 100
    assert ProfilePaths(long).socket != ProfilePaths(long / "other").socket
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert len(str(ProfilePaths(long).socket)) < 104


def test_the_default_profile_lies_in_the_platforms_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_profile() == tmp_path / "agentnet" / "profile"
