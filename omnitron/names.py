"""Names of stacks, apps, processes and instances, and what they become in systemd's name space."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_LENGTH = 40
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
LONGEST_ADDRESS = 4 * MAX_LENGTH
RESERVED_APPS = frozenset({"infra", "gateway", "health"})
GATEWAY = "gateway"
INFRA = "infra-"
"""Begins the names of the apps that a stack's databases, caches and other services are for the verbs."""
ADDRESS = re.compile(r"(?:(?P<stack>[^/:@]+)/)?(?P<app>[^/:@]+)(?::(?P<process>[^/:@]+))?(?:@(?P<instance>\d{1,9}))?")

EXIT_MESSAGE_ID = "b6d7c5a0f8c14ec9a8f5d9d1f2a4c7e3"
"""Marks the journal entry in which a process host says why it ends."""

CRASH_RECORD = ".crashes"
"""Ends the names of the files that crashes are noted in."""

WATCHER = "omnitron-watcher.service"
"""One for each manager, for all projects."""

SINGLE_PROCESS = "main"
"""The process name of an app that is a single script or command."""


def why_not_a_name(text: str) -> str | None:
    """Say what keeps `text` from being a name, or None when it is one."""
    if not text:
        return "is empty"
    if len(text) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if not NAME.fullmatch(text):
        return "may hold letters, digits, '_', '-' and '.', and must begin and end with a letter, digit or '_'"
    return None


def unit_part(name: str) -> str:
    """Return `name` as one dash-free part of a unit name: systemd reads '-' as a parent slice."""
    return name.replace("-", "_")


def app_parts(app: str) -> tuple[str, ...]:
    """Return what stands for an app in unit names: `api`, or `infra` and `postgres` for a service of the stack."""
    return (INFRA.rstrip("-"), app.removeprefix(INFRA)) if app.startswith(INFRA) else (app,)


def is_own(app: str) -> bool:
    """Whether an app is one of ours: a server of the stack, or its gateway."""
    return app == GATEWAY or app.startswith(INFRA)


def unit_stem(*parts: str) -> str:
    """Return a unit name without its type suffix: `unit_stem('omnitron', 'dev', 'api')`."""
    return "-".join(unit_part(part) for part in parts)


def transient_user(prefix: str, stack: str, app: str) -> str:
    """Return the user name of an app that runs as a user of its own: at most 31 characters, unlike any other's."""
    import hashlib  # Loads OpenSSL: a few milliseconds, which only the planner needs to spend.

    told_apart = hashlib.sha256("/".join((prefix, stack, app)).encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", app)[:20]
    return f"o_{readable}_{told_apart}"


@dataclass(frozen=True, order=True)
class Address:
    """Which app, process or instance is meant: `dev/api:worker@2`, or a shorter form of it.

    A part that was not given is None.
    """

    stack: str | None
    app: str
    process: str | None = None
    instance: int | None = None

    def __str__(self) -> str:
        stack = f"{self.stack}/" if self.stack else ""
        process = f":{self.process}" if self.process else ""
        instance = f"@{self.instance}" if self.instance is not None else ""
        return f"{stack}{self.app}{process}{instance}"

    def matches(self, other: Address) -> bool:
        """Whether every part that this address names is the same in `other`."""
        mine = (self.stack, self.app, self.process, self.instance)
        theirs = (other.stack, other.app, other.process, other.instance)
        return all(part is None or part == their for part, their in zip(mine, theirs, strict=True))

    @property
    def of_app(self) -> Address:
        """The same address, of the whole app."""
        return replace(self, process=None, instance=None)


def shortest(apps: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the shortest name that means each of `apps` (project, stack, app) alone: `api`, `dev/api`, `x/dev/api`."""
    forms = [(app, f"{stack}/{app}", f"{project}/{stack}/{app}") for project, stack, app in apps]
    counts = Counter(form for of_one in forms for form in of_one)
    return [next((form for form in of_one if counts[form] == 1), of_one[-1]) for of_one in forms]


def parse_address(text: str) -> Address | None:
    """Read `[stack/]app[:process][@instance]`; None when `text` has another form."""
    match = ADDRESS.fullmatch(text) if len(text) <= LONGEST_ADDRESS else None
    if not match:
        return None
    instance = match["instance"]
    return Address(match["stack"], match["app"], match["process"], int(instance) if instance else None)


SECRET = re.compile(r"secret|passw|token|key|credential|auth", re.IGNORECASE)
"""A variable whose name says so is not shown."""


def is_secret(variable: str) -> bool:
    """Whether the name of an environment variable says that its value is a secret."""
    return bool(SECRET.search(variable))
