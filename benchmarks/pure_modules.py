"""The modules without I/O, asyncio and clock, and the test files that are each one's own.

Used by `mutation` and `own_coverage`. This module runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_PARTS: Final = (
    "relay/wire",
    "relay/connection.py",
    "relay/forwards.py",
    "relay/nodes.py",
    "relay/notes.py",
    "agentnet_desktop/protocol",
    "agentnet_desktop/crypto",
    "agentnet_desktop/audit/filter.py",
    "agentnet_desktop/transport/connection.py",
    "agentnet_desktop/transport/backoff.py",
)
_TESTS: Final[dict[str, tuple[str, ...]]] = {
    "relay/connection.py": ("test_connection", "test_connection_routing", "test_forwarding", "test_nodes"),
    "relay/forwards.py": ("test_forwarding",),
    "relay/nodes.py": ("test_nodes", "test_forwarding"),
    "relay/notes.py": ("test_notes", "test_forwarding"),
    "agentnet_desktop/transport/connection.py": ("test_connection", "test_connection_asides"),
    "agentnet_desktop/crypto/handshake.py": ("test_handshake", "test_attacks", "test_vectors"),
    "agentnet_desktop/crypto/session.py": ("test_session", "test_attacks", "test_vectors"),
    "agentnet_desktop/crypto/keys.py": ("test_keys", "test_vectors"),
    "agentnet_desktop/crypto/safety_number.py": ("test_safety_number", "test_vectors"),
}
"""Where a module has other test files than `test_` and its name."""


def modules(words: Sequence[str] = ()) -> list[str]:
    """Every pure module that is not empty, by path, whose path holds one of the words."""
    paths = [
        path
        for part in _PARTS
        for path in ([ROOT / part] if part.endswith(".py") else sorted((ROOT / part).glob("*.py")))
    ]
    found = [path.relative_to(ROOT).as_posix() for path in paths if path.stat().st_size]
    return [path for path in found if not words or any(word in path for word in words)]


def own_tests(module: str) -> list[str]:
    """A module's own test files."""
    folder = Path("tests") / Path(module.removeprefix("agentnet_desktop/")).parent
    return [(folder / f"{name}.py").as_posix() for name in _TESTS.get(module, (f"test_{Path(module).stem}",))]
