"""Apps of development stacks restart when their files change."""

from __future__ import annotations

import time

from tests.support.machines import Machine
from tests.support.projects import Make

SLEEP = ["sleep", "1000"]
WATCHED = {"dev": {"type": "local"}}


def ready(machine: Machine, folder: str) -> None:
    """Wait until the watcher watches a folder: its kernel's list of watches has the inode."""
    inode = f"ino:{int(machine.run('stat', '--format=%i', folder).stdout):x} "
    script = 'cat /proc/"$1"/fdinfo/* 2>/dev/null || true'

    def is_watched() -> bool:
        return (
            inode in machine.run("sh", "-c", script, "sh", machine.show("omnitron-watcher.service", "MainPID")).stdout
        )

    machine.wait(is_watched, 10, f"{folder} is watched")


def test_a_change_restarts_what_runs_of_its_app(machine: Machine, make: Make) -> None:
    apps = [
        {"name": "web", "command": SLEEP, "watch": "web"},
        {"name": "api", "command": SLEEP, "watch": {"directory": "api", "ignore": ["data/"]}},
        {"name": "off", "command": SLEEP, "watch": "web"},
        {"name": "pinned", "command": SLEEP, "watch": False},
    ]
    project = make(apps, stacks=WATCHED)
    for name in ("web/a.py", "api/b.py", "api/data/c.json"):
        project.write(name, "1")
    project.omnitron("up")
    project.omnitron("stop", "off")
    ready(machine, f"{project.folder}/web")
    ready(machine, f"{project.folder}/api")
    before = {name: project.pid(name) for name in ("web", "api", "pinned")}
    project.write("web/a.py", "2")
    project.write("api/data/c.json", "2")
    machine.wait(lambda: project.pid("web") not in (0, before["web"]), 10, "web restarted")
    time.sleep(1)
    assert (project.pid("api"), project.pid("pinned")) == (before["api"], before["pinned"])
    assert project.state("off") == "inactive"
    said = [entry["MESSAGE"] for entry in machine.journal("omnitron-watcher.service")]
    assert f"dev of {project.prefix}: web restarts: a.py changed" in said


def test_saving_often_is_one_restart_and_never_the_end(machine: Machine, make: Make) -> None:
    project = make([{"name": "web", "command": SLEEP}], stacks=WATCHED)
    project.write("a.py", "0")
    project.omnitron("up")
    ready(machine, project.folder)
    for round in range(25):
        project.write("a.py", str(round))
        if round % 2:
            time.sleep(0.4)
    machine.wait(lambda: project.state("web") == "active", 10, "it runs")
    starts = [e for e in machine.journal(project.unit("web")) if e["MESSAGE"].startswith("Started ")]
    assert 2 <= len(starts) < 26
    assert project.status()["web"]["restarts"] == 0


def test_only_in_stacks_that_ask_for_it(machine: Machine, make: Make) -> None:
    project = make([{"name": "web", "command": SLEEP}], stacks={"dev": {"type": "local", "watch": False}})
    project.write("a.py", "0")
    project.omnitron("up")
    before = project.pid("web")
    time.sleep(1)  # time to begin to watch it
    project.write("a.py", "1")
    time.sleep(1.5)
    assert project.pid("web") == before


def test_a_definition_is_applied_by_up_and_not_by_being_saved(machine: Machine, make: Make) -> None:
    project = make([{"name": "web", "command": SLEEP}], stacks=WATCHED)
    project.omnitron("up")
    ready(machine, project.folder)
    before = project.pid("web")
    project.write("omnitron.config.json", machine.read(f"{project.folder}/omnitron.config.json"))
    time.sleep(1.5)
    assert project.pid("web") == before
