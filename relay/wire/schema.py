"""Content schemas as msgspec Structs: JSON form in, Struct out, and back, with errors that name the field.

Implements docs/protocol.md section 2.3 (what fits a schema). Shared by the contents that travel in the clear
(`control`) and those that travel sealed (`agentnet_desktop.protocol.content`).

A bytes field of a Struct is declared as `bytes`; in JSON form it is canonical b64 text. Unknown fields are
ignored. This module knows no particular content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec

from relay.wire.envelope import b64decode
from relay.wire.errors import WireError

T = TypeVar("T", bound=msgspec.Struct)

_AT = re.compile(r" - at `\$?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"required field `(?P<name>[^`]*)`")


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


@cache
def bytes_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Wire names of the fields of a Struct that hold bytes."""
    return tuple(field.encode_name for field in _fields(kind) if "bytes" in str(field.type))


def from_json_form(kind: type[T], value: Mapping[str, Any], *, path: str = "content") -> T:
    """Check a JSON-form object against a schema. An optional field that is null is read as absent.

    Args:
        kind: The Struct that is the schema.
        value: The object, b64 text in its bytes fields.
        path: What the object is called in errors.

    Returns:
        The Struct; bytes fields hold bytes.

    Raises:
        WireError: Naming the first field that is missing, mistyped, or not canonical base64.
    """
    for name in bytes_fields(kind):
        text = value.get(name)
        if isinstance(text, str):
            b64decode(text, field=f"{path}.{name}")  # msgspec would read `QS==` as `QQ==`
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        left = _without_nulls(kind, value)  # only now, since almost nobody writes a null
    try:
        return msgspec.convert(left, kind)
    except msgspec.ValidationError as error:
        raise to_wire_error(error, path) from None


def _without_nulls(kind: type[msgspec.Struct], value: Any) -> Any:
    """An object without those optional fields that are null, and so each object in it that a schema describes."""
    if not isinstance(value, Mapping):
        return value
    left = dict(value)
    for field in _fields(kind):
        name, inner = field.encode_name, _struct_in(field.type)
        item = left.get(name)
        if item is None and not field.required:
            left.pop(name, None)
        elif inner is not None and isinstance(item, list):
            left[name] = [_without_nulls(inner, part) for part in item]
        elif inner is not None and item is not None:
            left[name] = _without_nulls(inner, item)
    return left


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """The Struct in a field's type, be it optional, annotated, or what a tuple holds; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for part in get_args(annotation) if (found := _struct_in(part))), None)


def to_json_form(value: msgspec.Struct) -> dict[str, Any]:
    """The JSON form of a Struct, with bytes as b64, and optional fields that are None left out."""
    return {
        field.encode_name: _form(item)
        for field in _fields(type(value))
        if (item := getattr(value, field.name)) is not None or field.required
    }


def _form(item: Any) -> Any:
    if isinstance(item, msgspec.Struct):
        return to_json_form(item)
    if isinstance(item, tuple):
        return [_form(part) for part in item]
    return msgspec.to_builtins(item)


def to_wire_error(error: msgspec.ValidationError, path: str) -> WireError:
    """Turn msgspec's message into a WireError that names the field by its dotted path.

    Args:
        error: From `msgspec.convert` or a typed decode.
        path: What the outermost object is called; "" for none.
    """
    text = str(error)
    at = _AT.search(text)
    reason = text[: at.start()] if at else text
    where = path + (at.group("path") if at else "")
    missing = _MISSING.search(reason)
    if missing:
        where, reason = f"{where}.{missing.group('name')}", "is missing"
    elif reason.startswith("Invalid enum value"):
        reason = "is not one of the words allowed"  # without the word itself
    elif "matching regex" in reason:
        reason = "does not have the right form"
    else:
        reason = f"{reason[:1].lower()}{reason[1:]}".replace("`", "'")
    return WireError(where.lstrip(".") or "envelope", reason)
