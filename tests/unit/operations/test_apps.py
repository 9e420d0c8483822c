"""The pool that `scale` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.errors import UsageError
from omnitron.operations.apps import scale
from omnitron.policy.model import Selection
from tests.support.policies import policy


def test_what_has_no_pool_cannot_be_scaled(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "api"})
    with pytest.raises(UsageError, match="cannot scale dev/api: it is not a pool") as caught:
        scale(Selection(stack, stack.apps[0], None, None), 2, is_user=False)
    assert caught.value.hint == "give it `instances` or `scaling` in the definition"


def test_one_of_several_pools_has_to_be_named(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "api", "instances": 2})
    (app,) = stack.apps
    two = app.__class__(**{**vars(app), "processes": (app.processes[0], app.processes[0])})
    with pytest.raises(UsageError, match="cannot scale dev/api: it has 2 pools") as caught:
        scale(Selection(stack, two, None, None), 2, is_user=False)
    assert caught.value.hint == "name one of its processes"
