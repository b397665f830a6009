"""Finds the files that ship with the program: icons, translations, vectors, demo data.

In a checkout they lie in the top-level folder `resources/`; an installed package carries the same tree
inside itself as `agentnet_desktop/_resources/` (see `[tool.hatch.build.targets.wheel.sources]`).
This module names paths and nothing else: it does not read, cache or interpret what it finds, and it
implements no part of the protocol.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_resources"
_CHECKOUT = _PACKAGE.parent / "resources"


def resource(path: str) -> Path:
    """Find one shipped file or folder.

    Args:
        path: where it lies below `resources/`, with forward slashes: `icons/inbox.svg`.

    Returns:
        Its place on this machine, which exists.

    Raises:
        ValueError: `path` is absolute or leaves `resources/`.
        FileNotFoundError: no such file ships; in an installed package that is a packaging fault.
    """
    wanted = PurePosixPath(path)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise ValueError(f"not a path below resources/: {path!r}")
    root = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    found = root.joinpath(*wanted.parts)
    if not found.exists():
        raise FileNotFoundError(f"no such resource: {path}")
    return found
