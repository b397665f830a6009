"""docs/protocol.md section 2.3: what does not fit a schema is refused by field."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from relay.wire.errors import WireError
from relay.wire.schema import bytes_fields, from_json_form, to_json_form


class Colour(StrEnum):
    RED = "RED"


class Leaf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    leaf_name: str
    size: int | None = None


class Tree(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    tree_name: str
    first_key: Annotated[bytes, Meta(min_length=1, max_length=1)]
    answer: dict[str, Any] | None
    second_key: bytes | None = None
    leaves: tuple[Leaf, ...] = ()
    colour: Colour = Colour.RED
    word: Annotated[str, Meta(pattern="^[a-z]*$")] = ""


GOOD = {"treeName": "oak", "firstKey": "QQ==", "answer": None}


def test_bytes_fields_are_known_by_their_wire_names() -> None:
    assert bytes_fields(Tree) == ("firstKey", "secondKey")


def test_bytes_fields_are_decoded_and_unknown_fields_ignored() -> None:
    found = from_json_form(Tree, {**GOOD, "unknown": 1})
    assert found == Tree(tree_name="oak", first_key=b"A", answer=None)


def test_what_is_read_is_what_was_written() -> None:
    tree = Tree(
        tree_name="oak",
        first_key=b"A",
        answer={"a": None},
        second_key=b"BC",
        leaves=(Leaf(leaf_name="x", size=1), Leaf(leaf_name="y")),
    )
    form = to_json_form(tree)
    assert form == {
        "treeName": "oak",
        "firstKey": "QQ==",
        "answer": {"a": None},
        "secondKey": "QkM=",
        "leaves": [{"leafName": "x", "size": 1}, {"leafName": "y"}],
        "colour": "RED",
        "word": "",
    }
    assert from_json_form(Tree, form) == tree


def test_none_is_written_only_where_the_field_is_required() -> None:
    form = to_json_form(Tree(tree_name="oak", first_key=b"A", answer=None))
    assert form["answer"] is None
    assert "secondKey" not in form


class Wood(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    best_tree: Tree | None = None
    other_trees: Annotated[tuple[Tree, ...], Meta(max_length=2)] = ()
    notes: dict[str, Any] = {}


NULLS: dict[str, str | None] = {"secondKey": None, "leaves": None, "colour": None, "word": None}


def test_an_optional_field_that_is_null_is_absent_however_deep_it_stands() -> None:
    oak = Tree(tree_name="oak", first_key=b"A", answer=None)
    assert from_json_form(Tree, GOOD | NULLS) == oak
    wood = {"bestTree": GOOD | NULLS, "otherTrees": [GOOD | NULLS, GOOD], "notes": None}
    assert from_json_form(Wood, wood) == Wood(best_tree=oak, other_trees=(oak, oak))
    assert from_json_form(Wood, {"notes": {"a": None}, "otherTrees": None}).notes == {"a": None}


class Garden(msgspec.Struct, frozen=True):
    tree: Tree | None
    word: str = ""


def test_what_must_be_there_and_is_absent_is_missing_and_not_null() -> None:
    with pytest.raises(WireError) as caught:
        from_json_form(Garden, {"word": None})
    assert str(caught.value) == "content.tree: is missing"


@pytest.mark.parametrize(
    ("wood", "complaint"),
    [
        (
            {"notes": None, "bestTree": GOOD | {"treeName": None}},
            "content.bestTree.treeName: expected 'str', got 'null'",
        ),
        ({"notes": None, "otherTrees": [GOOD, None]}, "content.otherTrees[1]: expected 'object', got 'null'"),
        ({"notes": None, "otherTrees": {}}, "content.otherTrees: expected 'array', got 'object'"),
        ({"notes": [{"a": None}]}, "content.notes: expected 'object', got 'array'"),
        (
            {"notes": None, "bestTree": GOOD | {"word": "A"}},
            "content.bestTree.word: does not have the right form",
        ),
    ],
)
def test_a_null_hides_no_other_fault_and_is_refused_where_something_must_stand(
    wood: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(WireError) as caught:
        from_json_form(Wood, wood)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"treeName": None}, "content.treeName: expected 'str', got 'null'"),
        ({"treeName": 1}, "content.treeName: expected 'str', got 'int'"),
        ({"firstKey": "QS=="}, "content.firstKey: is not canonical base64"),
        ({"secondKey": "QS=="}, "content.secondKey: is not canonical base64"),
        ({"firstKey": "QkM="}, "content.firstKey: expected 'bytes' of length <= 1"),
        ({"firstKey": 1}, "content.firstKey: expected 'bytes', got 'int'"),
        ({"leaves": [{"leafName": "x"}, {}]}, "content.leaves[1].leafName: is missing"),
        ({"leaves": [{"leafName": 1}]}, "content.leaves[0].leafName: expected 'str', got 'int'"),
        ({"colour": "SECRET"}, "content.colour: is not one of the words allowed"),
        ({"word": "SECRET"}, "content.word: does not have the right form"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WireError) as caught:
        from_json_form(Tree, {**GOOD, **change})
    assert str(caught.value) == complaint


def test_a_missing_field_is_named() -> None:
    with pytest.raises(WireError, match=r"^content.treeName: is missing$"):
        from_json_form(Tree, {"firstKey": "QQ==", "answer": None})
    with pytest.raises(WireError, match=r"^metadata.leafName: is missing$"):
        from_json_form(Leaf, {}, path="metadata")
    with pytest.raises(WireError, match=r"^leafName: is missing$"):
        from_json_form(Leaf, {}, path="")


def test_a_value_that_is_no_object_is_named_by_what_it_is_called() -> None:
    no_object: Any = []
    with pytest.raises(WireError, match=r"^content: expected 'object', got 'array'$"):
        from_json_form(Leaf, no_object)
    with pytest.raises(WireError, match=r"^envelope: expected 'object', got 'array'$"):
        from_json_form(Leaf, no_object, path="")
