"""Addresses of processes in a plan that need not be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.errors import UsageError
from omnitron.operations.planned import find_process
from omnitron.planner.plan import Plan
from tests.support.build import planned, shop


def plan(folder: Path) -> Plan:
    stacks = {"dev": {"type": "local"}, "test": {"type": "local", "apps": ["web"]}}
    return planned(folder, shop({"name": "api"}, {"name": "web"}, stacks=stacks))


@pytest.mark.parametrize("address", ["api", "api:main", "dev/api", "dev/api:main@2"])
def test_each_form_of_an_address(tmp_path: Path, address: str) -> None:
    stack, process = find_process(plan(tmp_path), address)
    assert (stack.names.stack, process.app, process.name) == ("dev", "api", "main")


@pytest.mark.parametrize(
    ("address", "brief", "hint"),
    [
        ("api@x", "cannot read 'api@x' as an address", None),
        ("appi", "cannot find 'appi' in the definition", "did you mean dev/api?"),
        ("zzz", "cannot find 'zzz' in the definition", "there is dev/api, dev/web, test/web"),
        ("web", "cannot tell which 'web' is meant: dev/web, test/web", "name one of these"),
    ],
)
def test_what_means_none_or_several(tmp_path: Path, address: str, brief: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        find_process(plan(tmp_path), address)
    assert caught.value.brief.startswith(brief)
    assert caught.value.hint == hint
