"""The choice of a stack."""

from __future__ import annotations

import pytest

from omnitron.errors import UsageError
from omnitron.operations.installed import select_stack


def test_the_only_stack_needs_no_name() -> None:
    assert select_stack(None, ["dev"]) == "dev"
    assert select_stack("prod", ["dev", "prod"]) == "prod"


@pytest.mark.parametrize(
    ("name", "names", "brief"),
    [
        (None, [], "cannot choose a stack: name one of none"),
        (None, ["dev", "prod"], "cannot choose a stack: name one of dev, prod"),
        ("devv", ["dev"], "cannot find the stack 'devv': there is dev"),
        ("dev", [], "cannot find the stack 'dev': there is none"),
    ],
)
def test_no_stack_or_several(name: str | None, names: list[str], brief: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_stack(name, names)
    assert caught.value.brief == brief
