"""Each check alone: what it looks at, what it finds, which cure it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnitron.observe import doctor
from omnitron.observe.doctor import Definition, Finding, InstalledUnit, Subject


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.state) for finding in findings]


def test_all_that_installed_units_name(tmp_path: Path) -> None:
    unit = InstalledUnit(tmp_path / "a.service", "same", (str(tmp_path), "/bin/sh"), ("sh",), "root")
    assert states(doctor.check_paths(Subject(False, units=(unit,)))) == [("paths", "ok")]


def test_each_missing_thing_is_named_once_with_its_units(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    units = (
        InstalledUnit(Path("/u/a.service"), "same", (gone,), ("no-such-program",), "no-such-user"),
        InstalledUnit(Path("/u/b.service"), "same", (gone,)),
    )
    messages = [finding.message for finding in doctor.check_paths(Subject(False, units=units))]
    assert messages == [
        f"a.service and 1 more cannot run: {gone} is not there",
        "a.service cannot run: the program no-such-program is not there",
        "a.service cannot run: the user no-such-user is not there",
    ]


def test_nothing_installed_is_nothing_to_say() -> None:
    assert states(doctor.check_paths(Subject(False))) == []
    assert states(doctor.check_installed(Subject(False))) == []


def test_edits_by_hand() -> None:
    units = tuple(
        InstalledUnit(Path(f"/etc/systemd/system/{state}.service"), state)  # type: ignore[arg-type]
        for state in ("same", "changed", "missing")
    )
    changed, missing = doctor.check_edits(Subject(False, units=units))
    assert changed.message == "/etc/systemd/system/changed.service was changed by hand"
    assert changed.cure and "systemctl edit changed.service" in changed.cure
    assert (missing.state, missing.message) == ("warn", "/etc/systemd/system/missing.service was removed")


def test_interrupted_and_damaged_installs() -> None:
    unit = InstalledUnit(Path("/u/a.service"), "same")
    assert states(doctor.check_installed(Subject(False, units=(unit,)))) == [("installed", "ok")]
    assert states(doctor.check_installed(Subject(False, interrupted=True))) == [("installed", "warn")]
    assert states(doctor.check_installed(Subject(False, errors=("x is damaged",)))) == [("installed", "fail")]


def test_the_definition() -> None:
    wrong = Definition(Path("/d"), ("d:3: apps: cannot x", "d:4: y"), ())
    (finding,) = doctor.check_definition(Subject(False, wrong))
    assert (finding.state, finding.message) == ("fail", "d:3: apps: cannot x (and 1 more)")
    right = Definition(Path("/d"), (), (("dev/a:main", "/bin/sh"), ("dev/b:main", "no-such-program")))
    found = list(doctor.check_definition(Subject(False, right)))
    assert states(iter(found)) == [("definition", "ok"), ("programs", "fail")]
    assert found[1].message == "dev/b:main runs no-such-program, which is not here"
    assert states(doctor.check_definition(Subject(False))) == []


def test_node_has_a_cure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SEARCH_PATH", "/nowhere")
    _, finding = doctor.check_definition(Subject(False, Definition(Path("/d"), (), (("dev/a:main", "node"),))))
    assert finding.cure == "apt install nodejs"


@pytest.mark.parametrize(
    ("controllers", "state", "words"),
    [
        ("cpu io memory pids", "ok", "version 2 with cpu, memory, pids, io"),
        ("cpu pids", "warn", "memory (memoryMax, memoryHigh); io (ioWeight)"),
        ("", "warn", "pids (tasksMax)"),
    ],
)
def test_cgroup_version_2(tmp_path: Path, controllers: str, state: str, words: str) -> None:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    (finding,) = doctor.check_cgroups(Subject(False), tmp_path)
    assert finding.state == state
    assert words in finding.message


def test_other_cgroup_hierarchies(tmp_path: Path) -> None:
    (finding,) = doctor.check_cgroups(Subject(False), tmp_path)
    assert finding.state == "warn" and "version 1" in finding.message
    (tmp_path / "unified").mkdir()
    (finding,) = doctor.check_cgroups(Subject(False), tmp_path)
    assert "hybrid" in finding.message
    assert finding.cure == "boot with systemd.unified_cgroup_hierarchy=1"


def test_old_and_missing_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.local, "version", lambda: 247)
    (finding,) = doctor.check_version(Subject(False))
    assert (finding.state, finding.message) == ("fail", "version 247 is too old: 252 is the oldest")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    doctor.local.version.cache_clear()
    (finding,) = doctor.check_version(Subject(False))
    assert (finding.state, finding.cure) == ("fail", "apt install systemd")


def test_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.local, "is_booted", lambda: False)
    assert next(doctor.check_booted(Subject(False))).cure == "omnitron sandbox up"
    assert states(doctor.check_bus(Subject(False))) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert states(doctor.check_booted(Subject(False))) == [("booted", "fail"), ("sandbox", "fail")]


def test_an_unreachable_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.local, "is_booted", lambda: True)
    monkeypatch.setattr(doctor.local, "bus_path", lambda is_user: tmp_path / "bus")
    (finding,) = doctor.check_bus(Subject(True))
    assert finding.state == "fail"
    assert finding.cure and finding.cure.startswith("apt install dbus-user-session; ")


def test_the_runtime_directory_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert states(doctor.check_runtime_dir(Subject(True))) == [("runtime-dir", "ok")]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert states(doctor.check_runtime_dir(Subject(True))) == [("runtime-dir", "fail")]
    if os.geteuid() == 0:
        os.chown(tmp_path, 1, 1)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        (finding,) = doctor.check_runtime_dir(Subject(True))
        assert "another user's" in finding.message
    assert states(doctor.check_runtime_dir(Subject(False))) == []


def test_every_check_is_listed() -> None:
    named = [getattr(doctor, name) for name in vars(doctor) if name.startswith("check_")]
    assert list(doctor.CHECKS) == named
