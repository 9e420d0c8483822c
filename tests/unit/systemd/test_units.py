"""What the state of a unit says of it, and how both ways to systemd read it."""

from __future__ import annotations

import pytest

from omnitron.systemd.manager import _object_path
from omnitron.systemd.units import UnitState, absent


def words(state: UnitState) -> list[str]:
    names = ("is_online", "is_ending", "is_down", "is_to_be_up", "is_meant_to_run")
    return [name.removeprefix("is_") for name in names if getattr(state, name)]


@pytest.mark.parametrize(
    ("active", "job", "expected"),
    [
        ("active", "", ["online", "to_be_up", "meant_to_run"]),
        ("refreshing", "", ["online", "to_be_up", "meant_to_run"]),
        ("active", "stop", []),
        ("active", "restart", ["to_be_up", "meant_to_run"]),
        ("activating", "", ["to_be_up", "meant_to_run"]),
        ("activating", "start", ["to_be_up", "meant_to_run"]),
        ("deactivating", "", ["ending", "meant_to_run"]),
        ("deactivating", "stop", []),
        ("inactive", "", ["down"]),
        ("inactive", "start", ["to_be_up", "meant_to_run"]),
        ("failed", "", ["down"]),
        ("failed", "verify-active", ["down"]),
    ],
)
def test_a_state_and_its_job_say_what_becomes_of_a_unit(active: str, job: str, expected: list[str]) -> None:
    assert words(UnitState("a.service", active, job)) == expected


def test_a_unit_that_is_not_loaded_is_down() -> None:
    assert words(absent("a.service")) == ["down"]
    assert absent("a.service").load == "not-found"


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("omnitron-dev-a@1.service", "omnitron_2ddev_2da_401_2eservice"),
        ("7a_b.service", "_37a_5fb_2eservice"),
        ("é.service", "_c3_a9_2eservice"),
    ],
)
def test_the_object_path_of_a_unit(unit: str, label: str) -> None:
    assert _object_path(unit) == f"/org/freedesktop/systemd1/unit/{label}"
