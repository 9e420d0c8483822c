"""The files that the helpers and the watcher leave of a stack: which are its own, and what is left after it."""

from __future__ import annotations

from pathlib import Path

from omnitron.observe.snapshot import forget, record_path, records_of
from omnitron.policy.store import read_policies
from omnitron.supervision.state import crash_record, pending_start, run_notes
from omnitron.supervision.state.crash_record import Crash
from tests.support.policy_documents import dev_and_prod, write

FOREIGN = ("omnitron-prod-db-main.service.crashes", "omnitron-prod-db-main.service.due", "omnitron-prod.crashes")


def test_records_are_those_of_the_stack_and_of_instances_that_were_added(tmp_path: Path) -> None:
    dev, prod = read_policies([write(tmp_path / "installed", *dev_and_prod())])
    worker = dev.apps[1].processes[1]
    for service in (*dev.services, "omnitron-dev-api-worker@7.service"):
        path = record_path(tmp_path, worker, service) if "worker" in service else None
        with crash_record.update(path or tmp_path / "omnitron" / f"{service}.crashes") as found:
            found.crashes.append(Crash(1.0, service))
    # From when the group had another strategy.
    with crash_record.update(tmp_path / "omnitron" / "omnitron-dev.crashes") as found:
        found.crashes.append(Crash(1.0, "omnitron-dev"))
    for name in ("omnitron-dev.watcher.json", "omnitron-dev.health-1000.json"):
        (tmp_path / "omnitron" / name).write_text("{}")
    found = {crash.unit for one in records_of(dev, tmp_path) for crash in one.crashes}
    assert found == {*dev.services, "omnitron-dev-api-worker@7.service"}
    assert records_of(prod, tmp_path) == []


def test_nothing_is_left_of_a_stack_and_all_of_others(tmp_path: Path) -> None:
    dev, prod = read_policies([write(tmp_path / "installed", *dev_and_prod())])
    folder = tmp_path / "omnitron"
    for name in (*dev.services, "omnitron-dev-api-worker@7.service", "omnitron-dev"):
        with crash_record.update(folder / (f"{name}.crashes")) as found:
            found.crashes.append(Crash(1.0, name))
    for service in dev.services:
        pending_start.write(str(folder / "x"), service, pending_start.Due())
        run_notes.stopped(str(folder), service, "1")
        run_notes.crashed(str(folder), service, "1", 1)
        (folder / f"{service}.held").touch()
        (folder / f"{service}.stop.new").touch()
    for name in ("omnitron-dev.watcher.json", "omnitron-dev.health-1000.json", "omnitron-dev.health-1000.json.lock"):
        (folder / name).touch()
    # What cannot be removed keeps nothing else.
    stuck = folder / f"{dev.services[0]}.due.new"
    stuck.mkdir()
    for name in FOREIGN:
        (folder / name).touch()
    forget(dev, tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == sorted((*FOREIGN, stuck.name))
    stuck.rmdir()
    forget(prod, tmp_path)
    assert not folder.exists()
