"""What can go wrong with the database, as one sentence each that says what to do.

Covers the environment's faults (key, disk, version, damage). A caller's mistake is an ordinary Python error.
This module holds no logic beyond telling SQLite's result codes apart.
"""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """Base of all faults of the database. Its text is a sentence for a person.

    Attributes:
        kind: a stable word for scripts and logs.
        path: the database file.
    """

    kind = "STORE_ERROR"
    sentence = "The database {path} cannot be used."

    def __init__(self, path: Path, detail: str = "") -> None:
        """Builds the sentence.

        Args:
            path: the database file.
            detail: a further sentence, or nothing.
        """
        self.path = path
        text = self.sentence.format(path=path)
        super().__init__(f"{text} {detail}" if detail else text)


class DatabaseMissing(StoreError):
    """There is no database where one is expected."""

    kind = "DATABASE_MISSING"
    sentence = "There is no database at {path}: make a profile first, or check the profile's folder."


class DatabaseLost(StoreError):
    """A profile's database is gone, or an empty file stands in its place."""

    kind = "DATABASE_LOST"
    sentence = (
        "The profile's database {path} is gone or empty, with its log, contacts and waiting messages. Nothing was made "
        "in its place: put the file back from a copy, or restore a backup into a new profile ('agentnet keys restore')."
    )


class WrongKey(StoreError):
    """The key does not open the file, or the file is not a database of ours."""

    kind = "WRONG_KEY"
    sentence = (
        "The database {path} does not open with this profile's key: it belongs to another profile, or its first "
        "page is damaged. Nothing was changed; restore the file from a copy or use the profile that it belongs to."
    )


class NewerSchema(StoreError):
    """The file was written by a newer version of this program."""

    kind = "NEWER_SCHEMA"
    sentence = (
        "The database {path} was written by a newer version of AgentNet Desktop. Nothing was changed; "
        "install that version or a later one."
    )


class Corrupt(StoreError):
    """Pages of the file are damaged."""

    kind = "CORRUPT"
    sentence = (
        "The database {path} is damaged. It was left as it is; put a copy of it aside, then restore a backup "
        "or start a new profile."
    )


class ReadOnly(StoreError):
    """The file or its folder cannot be written."""

    kind = "READ_ONLY"
    sentence = "The database {path} cannot be written: the disk or the folder is read-only."


class DiskFull(StoreError):
    """The disk has no room left. What was not yet acknowledged was not stored."""

    kind = "DISK_FULL"
    sentence = "The disk that holds {path} is full: nothing new can be stored until there is room again."


class DiskFault(StoreError):
    """The disk did not read or write what it was asked to. What was not yet acknowledged was not stored."""

    kind = "DISK_FAULT"
    sentence = (
        "The disk that holds {path} reports an error: nothing can be stored now. Look at the disk and its "
        "connection; a copy of the profile's folder on another disk is a good idea."
    )


class InUse(StoreError):
    """Another process holds the write lock for too long."""

    kind = "IN_USE"
    sentence = (
        "The database {path} is being written by another process: close the other holder of this profile."
    )


class MigrationFailed(StoreError):
    """An older file could not be brought up to date; it and its backup are unchanged."""

    kind = "MIGRATION_FAILED"
    sentence = "The database {path} could not be brought up to date. It was left as it was."


class ReadCancelled(StoreError):
    """A reading query was cancelled by `Database.interrupt`."""

    kind = "READ_CANCELLED"
    sentence = "Reading from {path} was cancelled."


class DatabaseClosed(StoreError):
    """The database was closed before the job ran."""

    kind = "DATABASE_CLOSED"
    sentence = "The database {path} is closed."
