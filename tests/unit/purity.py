"""A fixture under which no module of the planner may look at a file or run a program, whoever it asks to."""

from __future__ import annotations

import builtins
import grp
import io
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import omnitron.planner

PLANNER = str(Path(omnitron.planner.__file__).parent) + os.sep
EFFECTS = (
    (builtins, ("open",)),
    (io, ("open",)),
    (os, ("open", "stat", "lstat", "access", "readlink", "listdir", "scandir", "getcwd", "geteuid")),
    (pwd, ("getpwnam", "getpwuid", "getpwall")),
    (grp, ("getgrnam", "getgrgid", "getgrall")),
    (subprocess, ("Popen",)),
)


def _planner_calls(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith(PLANNER):
            return True
        frame = frame.f_back
    return False


def _guarded(name: str, effect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any, **more: Any) -> Any:
        # Not an OSError: those are caught where a file may be missing.
        assert not _planner_calls(sys._getframe()), f"the planner calls {name}{args}"
        return effect(*args, **more)

    return guarded


@pytest.fixture(autouse=True)
def planner_is_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test as soon as a function of the planner, or one that it calls, depends on more than its arguments."""
    for module, names in EFFECTS:
        for name in names:
            monkeypatch.setattr(module, name, _guarded(f"{module.__name__}.{name}", getattr(module, name)))
