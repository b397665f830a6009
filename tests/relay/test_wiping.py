"""A relay that overwrites what it frees: how it is started so. What is left is searched in end_to_end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from relay.config import ConfigError, load
from relay.wiping import start_again_wiping, wiping_environment
from tests.processes import RelayProcess


def test_pythons_own_allocator_and_the_caches_of_the_c_librarys_are_turned_off() -> None:
    made = wiping_environment({"PATH": "/bin"})
    assert made == {
        "PATH": "/bin",
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0",
    }


def test_what_else_the_operator_has_tuned_stays_and_ours_comes_last() -> None:
    made = wiping_environment({"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"})
    assert made is not None
    assert made["GLIBC_TUNABLES"].startswith("glibc.malloc.arena_max=1:glibc.malloc.perturb=170:")


def test_a_process_that_wipes_already_is_not_started_again() -> None:
    made = wiping_environment({})
    assert made is not None
    assert wiping_environment(made) is None
    other = wiping_environment({**made, "PYTHONMALLOC": "debug"})
    assert other is not None
    assert other["PYTHONMALLOC"] == "malloc"
    assert wiping_environment({**made, "GLIBC_TUNABLES": ""}) == made


def test_the_process_takes_its_own_place_with_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "relay", "serve"])
    start_again_wiping()
    ((program, arguments, environment),) = started
    assert arguments == [program, "-m", "relay", "serve"]
    assert environment == wiping_environment(os.environ)


def test_the_setting_is_refused_where_the_c_library_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.config.can_wipe", lambda: False)
    with pytest.raises(ConfigError, match="wipe_memory needs Linux with glibc"):
        load({"wipe_memory": True}, environment={})


def test_only_a_relay_that_is_to_wipe_starts_again(relay_process: RelayProcess) -> None:
    assert relay_process.process is not None
    environment = Path(f"/proc/{relay_process.process.pid}/environ").read_bytes()
    assert b"glibc.malloc.perturb" not in environment
