"""Names that a definition may use, out of those of other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron import names
from omnitron.importers.naming import Namer, project, valid, why_renamed


@pytest.mark.parametrize(("text", "name"), [("My App!", "My-App"), ("../x", "x"), ("", ""), ("-.-", ""), ("漢", "")])
def test_what_a_name_may_not_hold_is_taken_out(text: str, name: str) -> None:
    assert valid(text) == name


def test_no_two_have_units_of_the_same_name() -> None:
    namer = Namer(frozenset({"gateway"}))
    found = [namer.name(text) for text in ("web", "web", "web!", "gateway", "", "x" * 300, "x" * 300)]
    assert found[:5] == ["web", "web-2", "web-3", "gateway-2", "app"]
    assert all(len(name) <= names.MAX_LENGTH for name in found)
    assert len({names.unit_part(name) for name in found}) == len(found)


def test_a_new_name_is_explained() -> None:
    assert (
        why_renamed("web", "web-2")
        == "is called 'web-2' here: its units would have the same names as those of another one"
    )
    assert "the name " in why_renamed("a b", "a-b")


def test_a_project_is_named_by_its_folder_where_nothing_else_names_it() -> None:
    assert project("shop", Path("/srv/x")) == "shop"
    assert project(None, Path("/srv/my shop")) == "my-shop"
    assert project("!", Path("/")) == "project"
