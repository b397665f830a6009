"""The documents: every link leads somewhere, README begins with the two commands and names options that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "packaging").rglob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_to_a_file_leads_to_one() -> None:
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    ]
    files = [(page, link) for page, link in links if "://" not in link]
    assert files
    assert [
        f"{page.relative_to(ROOT)}: {link}" for page, link in files if not (page.parent / link).exists()
    ] == []


def test_the_readme_begins_with_the_two_commands() -> None:
    first = README.partition("```\n")[2].partition("```")[0].splitlines()
    assert [line.partition("#")[0].strip() for line in first] == ["python3 run.py", "python3 run.py test"]


def typed(program: str) -> list[list[str]]:
    """The arguments of every call of a program in README's two shells, those inside `$(...)` too."""
    shells = README.partition("## Try it")[2].partition("## Figures")[0]
    nested = re.findall(r"\$\(([^)]*)\)", shells)
    lines = [*re.sub(r"\$\([^)]*\)", "X", shells).splitlines(), *nested]
    return [line.split()[1:] for line in lines if line.split()[:1] == [program]]


@pytest.mark.parametrize("program", ["agentnet", "agentnet-relay"])
def test_every_option_in_the_readme_is_one_that_the_program_has(program: str) -> None:
    module = {"agentnet": "agentnet_desktop.cli.main", "agentnet-relay": "relay.cli"}[program]
    code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
    calls = typed(program)
    assert calls
    for words in calls:
        names = [word for word in words if re.fullmatch("[a-z]+", word)]
        command = names[:2] if names[0] == "contact" else names[:1]
        help_ = subprocess.run(
            [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True
        )
        assert help_.returncode == 0, help_.stderr
        options = {word for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z][a-z-]*", help_.stdout)), words
