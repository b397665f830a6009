"""Fixtures of the second client's tests: the shells in which the first one runs."""

from __future__ import annotations

from tests.cli.conftest import new_shell, shell

__all__ = ["new_shell", "shell"]
