"""Options mean the same wherever they stand, and none is taken and forgotten."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from agentnet_desktop.cli.main import parser
from agentnet_desktop.compose import open_profile
from agentnet_desktop.store import audit_log
from agentnet_desktop.store.audit_log import NewEntry
from tests.cli.shells import LIMIT_S, WORDS, Shell
from tests.processes import ROOT


def below(
    made: argparse.ArgumentParser, name: str = "agentnet", above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, argparse.Action]]:
    """Every option of an action that something above it has too."""
    actions = [action for action in made._actions if action.dest not in ("help", "version")]
    for action in actions:
        if action.dest in above:
            yield f"{name} {action.dest}", action
    here = above | {action.dest for action in actions}
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield from below(one, f"{name} {word}", here)


def test_no_action_overwrites_an_option_that_stands_before_it() -> None:
    """What argparse does with a default: the action's own replaces what was read already."""
    found = list(below(parser()))
    assert len(found) > 100
    assert [name for name, action in found if action.default is not argparse.SUPPRESS] == []


async def with_a_note_and_a_hint(shell: Shell) -> None:
    """Two entries in a log."""
    holder = await open_profile(shell.profile, passphrase=WORDS)
    for kind in ("NOTE", "HINT"):
        entry = NewEntry(1, "local", kind, "LOCAL", "something happened")
        await holder.database.write(partial(audit_log.append, entry=entry))
    await holder.close()


@pytest.mark.parametrize(
    "args",
    [
        ("log", "--filter", "type:note", "export", "--out", "{}"),
        ("log", "export", "--filter", "type:note", "--out", "{}"),
    ],
)
def test_a_filter_holds_for_an_export_wherever_it_stands(
    shell: Callable[..., Shell], tmp_path: Path, args: tuple[str, ...]
) -> None:
    alice = shell("alice")
    asyncio.run(with_a_note_and_a_hint(alice))
    out = tmp_path / "log.jsonl"
    done = alice(*(word.format(out) for word in args), "--json")
    assert done.code == 0, done.err
    assert (done.rows[0]["entries"], done.rows[0]["stubs"], done.rows[0]["path"]) == (1, 1, str(out))
    assert json.loads(out.read_text().splitlines()[0])["filter"] == "type:note"


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """A file whose end is missing."""
    header = {"agentnetLog": 2, "agentId": "bob", "identityKey": "O0tYZNamnwOWznReSrIW2VYHVXsfmteqo8hY2g9m7mk=",
              "keys": {}, "exportedAt": 1, "filter": "", "redacted": False}  # fmt: skip
    (tmp_path / "cut.jsonl").write_text(json.dumps(header) + "\n")
    return tmp_path / "cut.jsonl"


def test_a_forged_file_gives_its_exit_code_though_nobody_reads_the_rest(
    new_shell: Callable[[str], Shell], forged: Path
) -> None:
    nobody = new_shell("nobody")
    ours, theirs = os.pipe()
    os.close(ours)  # as `head -1` does after its line
    with os.fdopen(theirs, "wb") as out:
        done = subprocess.run(
            nobody.command("log", "verify", str(forged)),
            cwd=ROOT,
            env=nobody.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
        )
    assert (done.returncode, done.stderr) == (5, b"")
