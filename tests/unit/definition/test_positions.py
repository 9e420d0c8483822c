"""The line of a key in a definition written in Python."""

from __future__ import annotations

import ast

import pytest

from omnitron.definition.python.positions import PythonLines

TEXT = """\
from omnitron import define_ecosystem
web = {
    "name": "web",
    "env": {"A": "1"},
}
it = define_ecosystem(
    project="shop",
    apps=[
        {"name": "api"},
        web,
    ],
)
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("project",), 7),
        (("apps", 0, "name"), 9),
        (("apps", 1, "env"), 4),
        (("apps", 1, "env", "A"), 4),
        (("apps", 7), 8),
        (("missing", "key"), 6),
    ],
)
def test_the_deepest_part_that_is_written_out(path: tuple[str | int, ...], line: int) -> None:
    assert PythonLines(ast.parse(TEXT), 6)(path) == line


def test_a_definition_that_is_computed_has_the_line_of_its_call() -> None:
    text = "from omnitron import define_ecosystem\nit = define_ecosystem(**load())\n"
    assert PythonLines(ast.parse(text), 2)(("project",)) == 2
