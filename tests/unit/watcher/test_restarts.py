"""Restarts for changed files: how often, and of what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omnitron.policy.model import WatchPolicy
from omnitron.watcher.watch import restarts
from omnitron.watcher.watch.restarts import Reloader
from tests.support.policies import policy

KEY = ("omnitron-dev", "a")
UNIT = "omnitron-dev-a-main.service"


class Bus:
    """A manager that knows one service, and notes what is asked of it."""

    def __init__(self, active: str, job: str = "") -> None:
        self.unit = SimpleNamespace(name=UNIT, active=active, job=job)
        self.asked: list[str] = []

    async def list_units(self, *_: str) -> list[Any]:
        return [self.unit]

    async def reset_failed(self, unit: str) -> None:
        self.asked.append(f"reset {unit}")

    async def restart(self, unit: str) -> None:
        self.asked.append(f"restart {unit}")


def after(folder: Path, bus: Bus, *changes: list[str], pause_s: float = 0.0) -> list[str]:
    """What was asked of the bus after these changes, long after the last cooldown."""

    async def run() -> None:
        reloader = Reloader()
        reloader.watch([policy(folder, {"name": "a", "watch": str(folder)})])
        reloader.manager = bus  # type: ignore[assignment]
        for paths in changes:
            reloader.changed(KEY, paths)
            await asyncio.sleep(pause_s)
        await asyncio.sleep(5 * restarts.COOLDOWN_S)
        reloader.close()

    asyncio.run(run())
    return bus.asked


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "COOLDOWN_S", 0.1)


def test_a_change_is_one_restart(tmp_path: Path) -> None:
    assert after(tmp_path, Bus("active"), [f"{tmp_path}/a.py"]) == [f"reset {UNIT}", f"restart {UNIT}"]


def test_changes_in_a_cooldown_are_one_restart_after_it(tmp_path: Path) -> None:
    changes = [[f"{tmp_path}/{number}.py"] for number in range(10)]
    asked = after(tmp_path, Bus("active"), *changes, pause_s=0.005)
    assert asked.count(f"restart {UNIT}") == 2


@pytest.mark.parametrize("state", [("failed", ""), ("inactive", ""), ("active", "stop"), ("deactivating", "")])
def test_what_does_not_run_is_left_alone(tmp_path: Path, state: tuple[str, str]) -> None:
    assert after(tmp_path, Bus(*state), [f"{tmp_path}/a.py"]) == []


def test_what_changed_is_shown_briefly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    after(tmp_path, Bus("active"), [f"{tmp_path}/sub/a.py", f"{tmp_path}/b.py", f"{tmp_path}/b.py"])
    (said,) = [record.getMessage() for record in caplog.records if record.name == restarts.__name__]
    assert said == "dev of shop: a restarts: sub/a.py and 1 more changed"


def test_a_policy_is_what_is_watched(tmp_path: Path) -> None:
    (app,) = policy(tmp_path, {"name": "a", "watch": str(tmp_path)}).apps
    assert isinstance(app.watch, WatchPolicy)
    assert app.watch.folders == (str(tmp_path),)
