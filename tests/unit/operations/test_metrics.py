"""Figures of one app, and their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import UsageError
from omnitron.operations.metrics import busiest_first, of_app
from omnitron.policy.model import Selection
from tests.support.policies import policy

IDLE, BUSY = {"cpu": 1.0, "memory": 10}, {"cpu": 80.0, "memory": 20}


def data(**apps: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": 1, "apps": apps, "totals": {"cpu": 81.0, "memory": 30}}


def selection(folder: Path) -> Selection:
    stack = policy(folder, {"name": "api"}, {"name": "web"})
    return Selection(stack, stack.apps[0], None, None)


@pytest.mark.parametrize("name", ["api", "dev/api", "shop/dev/api"])
def test_an_app_is_found_by_each_form_of_its_name(tmp_path: Path, name: str) -> None:
    figures = of_app(data(**{name: IDLE, "web": BUSY}), selection(tmp_path))
    assert figures == {"timestamp": 1, "apps": {name: IDLE}, "totals": {"cpu": 1.0, "memory": 10}}


def test_no_figures_yet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot find figures of dev/api") as caught:
        of_app(data(web=BUSY), selection(tmp_path))
    assert caught.value.hint == "the watcher may have just started"


def test_the_busiest_comes_first() -> None:
    assert list(busiest_first(data(api=IDLE, web=BUSY))["apps"]) == ["web", "api"]
