"""`omnitron logs` on a real journal: every form of message, namespaces, filters, and what comes while it waits."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make, Project

TALK = r"""#!/usr/bin/python3
import socket, sys, time
print("plain line")
print("<3>an error"); print("<4>a warning"); print("<7>debugging", flush=True)
sys.stdout.buffer.write(b"esc \x1b[31mred\x1b[0m \x1b]0;title\x07 \xff\xfe bad\n"); sys.stdout.flush()
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
for priority, text in ((6, "multi\nline\nmessage"), (2, "x" * 10000)):
    data = text.encode()
    journal.send(b"PRIORITY=%d\nMESSAGE\n" % priority + len(data).to_bytes(8, "little") + data + b"\n")
print("last words", flush=True)
time.sleep(0.5)
sys.exit(3)
"""
ONCE = {"enabled": False}


def apps(script: str) -> list[dict[str, Any]]:
    counts = "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"
    return [
        {"name": "talk", "command": [script], "restartPolicy": ONCE},
        {
            "name": "tick",
            "command": ["sh", "-c", counts],
            "instances": 2,
        },
    ]


@pytest.fixture(scope="module", params=["host", "namespace"])
def project(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Project]:
    project = Project(machine, [], logging={"level": "debug", "journal": request.param})
    project.define(apps(project.write("talk.py", TALK, 0o755)))
    project.omnitron("generate")
    machine.systemctl("start", project.unit("talk"), project.unit("tick", instance=1), project.unit("tick", instance=2))
    machine.wait(lambda: project.state("talk") == "failed", 10, "talk has ended")
    machine.wait(lambda: "last words" in project.omnitron("logs", "talk").stdout, 5, "the journal has it")
    yield project
    project.end()


def data(project: Project, *args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in project.omnitron("logs", "--json", *args).stdout.splitlines()]


def test_every_form_of_message(project: Project) -> None:
    entries = data(project, "talk", "-n", "all")
    own = next(entry["data"]["pid"] for entry in entries if entry["message"] == "plain line")
    said = [(entry["level"], entry["message"]) for entry in entries if entry["data"]["pid"] == own]
    lines = [
        ("info", "plain line"),
        ("error", "an error"),
        ("warn", "a warning"),
        ("debug", "debugging"),
    ]
    # What comes over one stream keeps its order; the rest is sent to another socket of the journal's.
    assert [line for line in said if line in lines] == lines
    assert ("info", "esc \x1b[31mred\x1b[0m \x1b]0;title\x07 \ufffd\ufffd bad") in said
    assert ("info", "multi\nline\nmessage") in said
    assert ("fatal", "x" * 10000) in said
    assert ("info", "last words") in said


def test_systemds_own_lines_stand_among_them(project: Project) -> None:
    entries = data(project, "talk", "-n", "all")
    times = [entry["timestamp"] for entry in entries]
    assert times == sorted(times)
    ours = [entry["message"] for entry in entries if entry["data"]["pid"] == 1]
    assert any(text.startswith(("Started ", "Starting ")) for text in ours)
    assert ours[-1].endswith("Failed with result 'exit-code'.")
    assert {entry["app"] for entry in entries} == {"talk"}
    assert {entry["data"]["unit"] for entry in entries} == {project.unit("talk")}
    assert abs(times[-1] / 1000 - time.time()) < 60


def test_text_for_people_is_harmless(project: Project) -> None:
    text = project.omnitron("logs", "talk").stdout
    assert "\x1b" not in text and "\x07" not in text
    assert "esc red \\x1b]0;title\\x07 \ufffd\ufffd bad" in text
    line = next(line for line in text.splitlines() if line.endswith(" multi"))
    after = text.splitlines()[text.splitlines().index(line) + 1]
    assert after == " " * (len(line) - len("multi")) + "line"


def test_filters(project: Project) -> None:
    assert sorted(entry["message"] for entry in data(project, "talk", "-l", "error")) == ["an error", "x" * 10000]
    assert {entry["level"] for entry in data(project, "talk", "-l", "warn", "-n", "all")} == {"fatal", "error", "warn"}
    assert [entry["message"] for entry in data(project, "talk", "-g", "^(plain|last)", "-n", "5")] == [
        "plain line",
        "last words",
    ]
    assert [entry["message"] for entry in data(project, "-g", "^last", "-n", "1")] == ["last words"]
    assert data(project, "-g", "no such words") == []
    assert len(data(project, "tick", "-n", "3")) == 3
    assert data(project, "-n", "0") == []
    assert data(project, "talk", "--since", "1h ago") == data(project, "talk", "-n", "all")
    assert data(project, "talk", "--since", "+1h") == []


def test_instances_are_told_apart(project: Project) -> None:
    entries = data(project, "tick", "-g", "tick", "-n", "20")
    assert {entry["data"]["instance"] for entry in entries} == {1, 2}
    assert {entry["data"]["instance"] for entry in data(project, "tick@2", "-n", "5")} == {2}
    assert " tick@2 tick" in project.omnitron("logs", "tick").stdout


def test_following_shows_each_line_once_when_it_comes(project: Project) -> None:
    machine = project.machine
    argv = [*machine.python, "-m", "omnitron", "logs", "tick@1", "-f", "-n", "2", "-g", "tick", "--json"]
    command = machine.sandbox.argv(argv, cwd=Path(project.folder))
    process = subprocess.Popen(
        command, bufsize=0, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdout
    seen: list[dict[str, Any]] = []
    with process.stdout as output:
        deadline = time.monotonic() + 15
        while len(seen) < 12 and time.monotonic() < deadline:
            if select.select([output], [], [], 0.5)[0]:
                seen.append(json.loads(output.readline()))
                lag = time.time() - seen[-1]["timestamp"] / 1000
        os.killpg(process.pid, signal.SIGINT)
        rest = output.read()
    process.wait(10)
    assert b"Traceback" not in rest
    times = [entry["timestamp"] for entry in seen]
    assert len(set(times)) == len(times) == 12
    assert times == sorted(times)
    # None was lost between what was there and what came.
    numbers = [int(entry["message"].split()[1]) for entry in seen]
    assert numbers == list(range(numbers[0], numbers[0] + 12))
    assert lag < 1.0


def test_following_begins_before_the_namespace_does(machine: Machine, make: Make) -> None:
    app = {"name": "tick", "command": ["sh", "-c", "for i in 1 2 3 4 5; do echo tick $i; sleep 0.2; done"]}
    project = make([app], logging={"level": "info", "journal": "namespace"})
    project.omnitron("generate")
    argv = [*machine.python, "-m", "omnitron", "logs", "tick", "-f", "--json"]
    command = machine.sandbox.argv(argv, cwd=Path(project.folder))
    process = subprocess.Popen(
        command, bufsize=0, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdout
    with process.stdout as output:
        time.sleep(1)
        machine.systemctl("start", project.unit("tick"))
        said: list[str] = []
        deadline = time.monotonic() + 15
        while "tick 5" not in said and time.monotonic() < deadline:
            if select.select([output], [], [], 0.5)[0]:
                said.append(json.loads(output.readline())["message"])
        os.killpg(process.pid, signal.SIGINT)
    process.wait(10)
    assert [text for text in said if text.startswith("tick")] == [f"tick {number}" for number in (1, 2, 3, 4, 5)]
    assert len(set(said)) == len(said)


def test_what_is_refused(machine: Machine, project: Project) -> None:
    def refused(*args: str) -> tuple[int, str]:
        done = project.omnitron("logs", *args, check=False)
        return done.returncode, done.stderr

    assert refused("tak") == (2, "error: cannot find 'tak'\n       did you mean dev/talk?\n")
    assert refused("--since", "gaga") == (2, "error: cannot read the journal: failed to parse timestamp: gaga\n")
    assert refused("-g", "(")[0] == 2
    assert refused("-l", "loud")[0] == 2
    hidden = machine.omnitron("logs", "talk", check=False, user="nobody", cwd=project.folder)
    assert hidden.returncode == 5
    assert "join the group systemd-journal" in hidden.stderr


def test_nothing_installed(machine: Machine) -> None:
    machine.sandbox.user_manager("alice")
    done = machine.omnitron("logs", "--user", check=False, user="alice")
    assert done.returncode == 2
    assert "no stack is installed here" in done.stderr


def test_in_the_manager_of_a_user(machine: Machine) -> None:
    machine.sandbox.user_manager("bob")
    folder = "/home/bob/project"
    machine.run("install", "-d", "-o", "bob", folder)
    app = {"name": "hello", "command": ["sh", "-c", "echo hello from bob; exec sleep 1000"]}
    text = json.dumps({"project": "p", "unitPrefix": "bob", "apps": [app], "stacks": {"dev": {"type": "local"}}})
    machine.write(f"{folder}/omnitron.config.json", text, owner="bob")
    machine.omnitron("generate", "--user", user="bob", cwd=folder)
    machine.run("systemctl", "--user", "start", "bob-dev-hello-main.service", user="bob")

    def shown() -> str:
        return machine.omnitron("logs", "--user", "hello", user="bob", cwd=folder).stdout

    machine.wait(lambda: "hello from bob" in shown(), 5, "the line is there")
    assert "Started bob-dev-hello-main.service" in shown()
    machine.run("systemctl", "--user", "stop", "bob-dev-hello-main.service", user="bob")
