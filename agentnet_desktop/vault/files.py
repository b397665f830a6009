"""Writing a private file so that a crash leaves the old one or the new one, never half of either."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o600
_FOLDERS_OPEN: Final = os.name != "nt"  # Windows cannot open a folder, and renames durably by itself


def write_private(path: Path, data: bytes) -> None:
    """Replace a file's content: mode 0600, whole or not at all, on disk when this returns.

    1. Write a new file beside it, readable by its owner only from its first byte on, and flush it.
    2. Rename it over the old one.
    3. Flush the folder, so that the rename survives a loss of power.

    Raises:
        OSError: it could not be written; the old file stands.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # (1)
    try:
        with os.fdopen(handle, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), _OWNER_ONLY)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)  # (2)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)  # (3)


def _flush_folder(folder: Path) -> None:
    if not _FOLDERS_OPEN:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
