"""An operator's stop of what waits for its group."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitron.errors import OmnitronError
from omnitron.operations.operator_stop import hold
from omnitron.supervision.rules.strategy import State
from omnitron.supervision.state import group_state, operator_stop, trusted_files
from omnitron.supervision.state.group_state import Memory
from tests.support.policies import policy

A, B, C = (f"omnitron-dev-{name}-main.service" for name in "abc")


def test_only_what_waits_for_its_group_is_held(tmp_path: Path) -> None:
    stack = policy(tmp_path, {"name": "a"})
    path = group_state.path_of(tmp_path, stack.prefix_part, stack.stem)
    folder = str(path.parent)
    hold(stack, (A, B, C), tmp_path)
    assert not path.parent.exists()
    group_state.write(path, Memory(recovery=State(A, (B,), (C,))))
    hold(stack, (A, C), tmp_path)
    assert operator_stop.stopped_units(folder, stack.stem) == {C}
    assert operator_stop.stopped_units(folder, "omnitron-other") == frozenset()
    operator_stop.release(folder, [B, C])
    assert operator_stop.stopped_units(folder, stack.stem) == frozenset()


def test_a_group_that_comes_back_meanwhile_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = policy(tmp_path, {"name": "a"})
    path = group_state.path_of(tmp_path, stack.prefix_part, stack.stem)
    group_state.write(path, Memory(recovery=State(A, (), (B, C))))
    write = operator_stop.hold

    def slow(folder: str, unit: str) -> None:
        write(folder, unit)
        group_state.write(path, Memory())

    monkeypatch.setattr(operator_stop, "hold", slow)
    hold(stack, (B,), tmp_path)
    assert operator_stop.stopped_units(str(path.parent), stack.stem) == frozenset()


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = policy(tmp_path, {"name": "a"})
    path = group_state.path_of(tmp_path, stack.prefix_part, stack.stem)
    group_state.write(path, Memory(recovery=State(A, (), (B,))))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trusted_files, "replace_file", full)
    with pytest.raises(OmnitronError, match=r"cannot write into .*: no space left on device"):
        hold(stack, (B,), tmp_path)
