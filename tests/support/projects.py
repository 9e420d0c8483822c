"""A project on a machine: a definition in a folder of its own, with unit names of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

from tests.support.machines import Machine

USER = "www-data"
_number = itertools.count(1)


class Project:
    """A definition with one stack, `dev`, written as JSON. Its units begin with `prefix`."""

    def __init__(self, machine: Machine, apps: list[dict[str, Any]], **definition: Any) -> None:
        self.machine = machine
        self.prefix = f"t{next(_number)}"
        self.folder = f"/srv/{self.prefix}"
        self.definition = {
            "project": self.prefix,
            "unitPrefix": self.prefix,
            # What a test writes restarts nothing, unless that is what it is about.
            "stacks": {"dev": {"type": "local", "watch": False}},
            **definition,
        }
        self.define(apps)

    @property
    def target(self) -> str:
        """The target of the stack."""
        return f"{self.prefix}-dev.target"

    def define(self, apps: list[dict[str, Any]]) -> None:
        """Write the definition anew, with these apps."""
        named = [{"user": USER, **app} for app in apps]
        text = json.dumps({**self.definition, "apps": named}, indent=1)
        self.machine.write(f"{self.folder}/omnitron.config.json", text)

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        """Write a file of the project; its path."""
        self.machine.write(f"{self.folder}/{name}", text, mode)
        return f"{self.folder}/{name}"

    def omnitron(self, *args: str, check: bool = True, input: str | None = None) -> CompletedProcess[str]:
        """Run a verb in the project's folder."""
        return self.machine.omnitron(*args, check=check, input=input, cwd=self.folder)

    def unit(self, app: str, process: str = "main", instance: int | None = None) -> str:
        """The name of a service."""
        return f"{self.prefix}-dev-{app}-{process}" + (f"@{instance}" if instance else "") + ".service"

    def gate(self, app: str) -> str:
        """The name of a health gate."""
        return f"{self.prefix}-dev-{app}-ready.service"

    def state(self, app: str, process: str = "main", instance: int | None = None) -> str:
        """ActiveState of a service."""
        return self.machine.show(self.unit(app, process, instance), "ActiveState")

    def pid(self, app: str, process: str = "main", instance: int | None = None) -> int:
        """Main PID of a service, 0 when it has none."""
        return int(self.machine.show(self.unit(app, process, instance), "MainPID"))

    def environment(self, app: str) -> dict[str, str]:
        """The variables that an app of one process was started with."""
        text = self.machine.read(f"/proc/{self.pid(app)}/environ")
        return dict(pair.split("=", 1) for pair in text.split("\0") if pair)

    def status(self) -> dict[str, dict[str, Any]]:
        """The apps of `status --json` by name."""
        answer = json.loads(self.omnitron("status", "--json", check=False).stdout)
        return {app["name"].rpartition("/")[2]: app for app in answer["apps"]}

    def end(self) -> None:
        """Stop the stack and remove its units; nothing may be left for other tests."""
        self.machine.systemctl("stop", f"{self.prefix}-*", check=False)
        self.machine.systemctl("stop", self.target, check=False)
        self.machine.run(
            "sh",
            "-c",
            f"rm -rf /etc/systemd/system/{self.prefix}-* /etc/omnitron/{self.prefix}-*"
            f" /var/lib/omnitron/.installed/{self.prefix}-* /run/omnitron/{self.prefix}"
            f" /etc/omnitron/secrets/{self.prefix}-* /var/lib/{self.prefix}",
        )
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("reset-failed", f"{self.prefix}-*", check=False)


def needing(make: Make, needs: dict[str, Any], env: dict[str, str] | None = None, **definition: Any) -> Project:
    """A project whose one app, `app`, needs what the `omnitron` of its config/default.json says."""
    made = make([{"name": "app", "bootstrap": "app/bootstrap.json", "env": env or {}}], **definition)
    process = {"name": "main", "command": ["/bin/sleep", "infinity"]}
    made.write("app/bootstrap.json", json.dumps({"name": "app", "processes": [process]}))
    made.write("app/config/default.json", json.dumps({"omnitron": needs}))
    return made


def environment(project: Project) -> dict[str, str]:
    """The variables that the app was started with."""
    return project.environment("app")


def sql(project: Project, text: str, check: bool = True) -> str:
    """Run SQL as the app would."""
    url = environment(project)["DATABASE_URL"]
    return project.machine.run("psql", "-XqAt", url, "-c", text, check=check).stdout.strip()


Make = Callable[..., Project]
"""Makes a project that ends with the test."""


class Projects(list[Project]):
    """The projects that a test makes on a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def make(self, apps: list[dict[str, Any]], **definition: Any) -> Project:
        """Make one more."""
        self.append(Project(self.machine, apps, **definition))
        return self[-1]
