"""What is shipped: lock files that name no index, a wheel with its resources, a relay without Qt, no machine's paths."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    name: ROOT / "requirements" / f"{name}.txt" for name in ("relay", "agent", "desktop", "dev", "build")
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
QT = {"pyside6", "pyside6-essentials", "pyside6-addons", "shiboken6", "qasync"}


@cache
def pins(name: str) -> dict[str, tuple[Requirement, int]]:
    """Each package of a lock with its pin and the number of its hashes."""
    lines = LOCKS[name].read_text().replace("\\\n", " ").splitlines()
    found: dict[str, tuple[Requirement, int]] = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        requirement = Requirement(line.partition("--hash")[0].strip())
        found[canonicalize_name(requirement.name)] = (requirement, line.count("--hash=sha256:"))
    return found


def declared(extra: str | None) -> list[Requirement]:
    """What pyproject.toml asks for under an extra, with the extras it leads to."""
    project = PYPROJECT["project"]
    wanted = [*map(Requirement, project["dependencies"])]
    pending = [extra] if extra else []
    while pending:
        for requirement in map(Requirement, project["optional-dependencies"][pending.pop()]):
            if requirement.name == project["name"]:
                pending.extend(requirement.extras)
            else:
                wanted.append(requirement)
    return wanted


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_to_fetch_from(name: str) -> None:
    text = LOCKS[name].read_text()
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted-host|config)|(^|\s)-[if]\s", text)
    assert " @ " not in text


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_is_exact_and_hashed(name: str) -> None:
    assert pins(name)
    for requirement, hashes in pins(name).values():
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert hashes, requirement


@pytest.mark.parametrize("name", ["relay", "agent", "desktop", "dev"])
def test_a_lock_holds_what_its_extra_asks_for(name: str) -> None:
    for wanted in declared(name):
        pinned = pins(name)[canonicalize_name(wanted.name)][0]
        (exact,) = pinned.specifier
        assert wanted.specifier.contains(exact.version), f"{wanted} is pinned as {pinned}: refresh the locks"


def test_all_locks_agree() -> None:
    for name in ("relay", "agent", "desktop", "build"):
        for package, (requirement, _) in pins(name).items():
            assert requirement.specifier == pins("dev")[package][0].specifier, f"{package} in {name}"


def test_qt_is_in_the_desktop_lock_only_and_below_the_broken_version() -> None:
    assert not QT & set(pins("relay"))
    assert not QT & set(pins("agent"))
    (exact,) = pins("desktop")["pyside6-essentials"][0].specifier
    major, minor, *_ = map(int, exact.version.split("."))
    assert (major, minor) < (6, 12)


def test_the_build_backend_is_locked_for_an_installation_without_isolation() -> None:
    for wanted in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert canonicalize_name(wanted.name) in pins("dev")
        assert canonicalize_name(wanted.name) in pins("build")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_every_resource(wheel: Path) -> None:
    shipped = {
        name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("agentnet_desktop/_resources/")
    }
    lying = {
        f"agentnet_desktop/_resources/{path.relative_to(ROOT / 'resources').as_posix()}"
        for path in (ROOT / "resources").rglob("*")
        if path.is_file()
    }
    assert lying
    assert shipped == lying


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "relay",
        "agentnet_desktop",
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_an_installed_package_finds_its_resources_inside_itself(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p and p != {str(ROOT)!r}]; "
        f"sys.path.insert(0, {str(tmp_path)!r}); "
        "from agentnet_desktop.resources import resource; print(resource('icons'))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == tmp_path / "agentnet_desktop" / "_resources" / "icons", done.stderr


def test_a_resource_outside_the_folder_is_refused() -> None:
    from agentnet_desktop.resources import resource

    for path in ("../pyproject.toml", "/etc/passwd", "icons/../../run.py"):
        with pytest.raises(ValueError, match="not a path below"):
            resource(path)
    with pytest.raises(FileNotFoundError, match="no-such-thing"):
        resource("icons/no-such-thing.svg")


_BLOCK = """
import importlib.abc, importlib.metadata, re, sys
kept = set({kept!r})
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        owners = {{re.sub('[-_.]+', '-', o).lower() for o in owned.get(top, ())}}
        if owners and not owners & kept:
            raise ModuleNotFoundError(f'{{name}} is not among what this part installs', name=name)
owned = importlib.metadata.packages_distributions()
sys.meta_path.insert(0, Blocked())
{code}
"""


@pytest.mark.parametrize(
    ("lock", "code"),
    [
        ("relay", "import relay.cli, relay.server"),
        ("agent", "import agentnet_desktop.cli.main, agentnet_desktop.compose"),
        ("desktop", "import agentnet_desktop.app"),
    ],
)
def test_each_part_imports_with_what_its_lock_installs(lock: str, code: str) -> None:
    kept = sorted({*pins(lock), "agentnet-desktop"})
    done = subprocess.run(
        [sys.executable, "-c", _BLOCK.format(kept=kept, code=code)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def tracked() -> list[Path]:
    """Every file of the checkout that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_machine_path_stands_in_the_tree() -> None:
    roots = "work|root|farm|tmp/studio"
    pattern = re.compile(rf"(?<![\w.$}}])/({roots})/|\.\./" + "shared")
    found = []
    for path in tracked():
        if path.is_file() and b"\0" not in (content := path.read_bytes()[:1_000_000]):
            found += [
                f"{path.relative_to(ROOT)}: {m.group()}"
                for m in pattern.finditer(content.decode(errors="replace"))
            ]
    assert found == []


def test_the_programs_that_packaging_names_exist() -> None:
    scripts = set(PYPROJECT["project"]["scripts"])
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(ROOT / "packaging" / "desktop" / "agentnet-desktop.desktop")
    assert entry["Desktop Entry"]["Exec"].split()[0] in scripts
    unit = (ROOT / "packaging" / "systemd" / "agentnet-relay.service").read_text()
    container = (ROOT / "packaging" / "container" / "Containerfile").read_text()
    named = re.findall(r"/opt/agentnet-relay/bin/(agentnet-[a-z]+)", unit + container)
    assert named
    assert set(named) <= scripts
