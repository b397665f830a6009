"""No record shows its secrets: a value that ends in a log line, an error or a crash report has gone out."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

import agentnet_desktop
import relay

SECRET = re.compile(r"(^|_)(token|passphrase|password|invite|ephemeral|secret|seed|link)$|^keys$")
OPEN = {  # public keys, and names of colours
    "agentnet_desktop.audit.authorship.Authorship": {"keys"},
    "agentnet_desktop.audit.export.Source": {"keys"},
    "agentnet_desktop.audit.exported.Header": {"keys"},
    "agentnet_desktop.audit.exported._HeaderLine": {"keys"},
    "agentnet_desktop.audit.verify.Report": {"keys"},
    "agentnet_desktop.ui.widgets.list_rows.RowLook": {"token", "second_token", "note_token"},
}
# The least that must be found, so that the walk does not become one past everything.
KNOWN = {
    "agentnet_desktop.agent.events.LinkView",
    "agentnet_desktop.control._Account",
    "agentnet_desktop.protocol.contact_link.ContactLink",
    "agentnet_desktop.store.contacts.Contact",
    "agentnet_desktop.store.contacts.ContactLinkRecord",
    "agentnet_desktop.store.sessions.StoredSession",
    "agentnet_desktop.ui.wizard.wizard.FirstRunChoices",
    "relay.commands.Verify",
    "relay.upgrade.Asked",
    "relay.wire.control.AuthContent",
}


def fields_of(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass, a Struct or a named tuple; none for other classes."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()


def records() -> Iterator[type]:
    """Every record of both packages."""
    for package in (relay, agentnet_desktop):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith(".__main__") or ".migrations" in found.name:
                continue
            module = importlib.import_module(found.name)
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == module.__name__ and fields_of(kind):
                    yield kind


def name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def secrets_of(kind: type) -> list[str]:
    public = OPEN.get(name_of(kind), set())
    return [name for name in fields_of(kind) if SECRET.search(name) and name not in public]


def filled(kind: type, values: Mapping[str, Any]) -> object:
    """A record with these values, whatever its constructor would say to them."""
    if not dataclasses.is_dataclass(kind):
        made: object = kind(**values)
        return made
    record = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(record, name, value)
    return record


HOLDERS = {name_of(kind): kind for kind in records() if secrets_of(kind)}


def test_the_records_that_hold_secrets_are_found() -> None:
    assert KNOWN - set(HOLDERS) == set()


@pytest.mark.parametrize("name", sorted(HOLDERS))
def test_a_record_shows_none_of_its_secrets(name: str) -> None:
    kind = HOLDERS[name]
    shown = repr(filled(kind, {field: f"<value of {field}>" for field in fields_of(kind)}))
    assert [field for field in secrets_of(kind) if f"<value of {field}>" in shown] == []
