"""Names of stacks, apps, processes and instances, and what they become in systemd's name space."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_LENGTH = 40
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
LONGEST_ADDRESS = 4 * MAX_LENGTH
GATEWAY = "gateway"
"""Name of the app that a stack's gateway is for the verbs."""
INFRA_PREFIX = "infra-"
"""Begins the names of the apps that a stack's databases, caches and other services are for the verbs."""
INFRA_PART = INFRA_PREFIX.rstrip("-")
"""Stands for those in unit names."""
RESERVED_APPS = frozenset({INFRA_PART, GATEWAY, "health"})
ADDRESS = re.compile(r"(?:(?P<stack>[^/:@]+)/)?(?P<app>[^/:@]+)(?::(?P<process>[^/:@]+))?(?:@(?P<instance>\d{1,9}))?")

EXIT_MESSAGE_ID = "b6d7c5a0f8c14ec9a8f5d9d1f2a4c7e3"
"""Marks the journal entry in which a process host says why it ends."""

TEMPLATE_MARK = "@."
"""The place where the name of a template takes the number of an instance."""

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
    return (INFRA_PART, app.removeprefix(INFRA_PREFIX)) if app.startswith(INFRA_PREFIX) else (app,)


def is_own(app: str) -> bool:
    """Return whether an app is one of ours: a server of the stack, or its gateway."""
    return app == GATEWAY or app.startswith(INFRA_PREFIX)


def unit_stem(*parts: str) -> str:
    """Return a unit name without its type suffix: `unit_stem('omnitron', 'dev', 'api')`."""
    return "-".join(unit_part(part) for part in parts)


def instance_name(unit: str, number: int) -> str:
    """Return the name of an instance of the template `unit`: `api@2.service`; another unit has its own name."""
    return unit.replace(TEMPLATE_MARK, f"@{number}.", 1)


def pool_pattern(unit: str) -> str:
    """Return the glob pattern of the instances of the template `unit`: `api@*.service`; of another, its name."""
    return unit.replace(TEMPLATE_MARK, "@*.", 1)


def instance_of(unit: str) -> int | None:
    """Return the number of an instance of a pool; None for a unit that is none."""
    number = unit.partition("@")[2].rpartition(".")[0]
    return int(number) if number.isascii() and number.isdigit() else None


def template_of(unit: str) -> str:
    """Return the name of the unit's file: `api@.service` for `api@2.service`; another unit has its own name."""
    stem, at, rest = unit.partition("@")
    return f"{stem}{TEMPLATE_MARK}{rest.rpartition('.')[2]}" if at else unit


def instances_among(units: Iterable[str], template: str) -> set[str]:
    """Return those of `units` that are instances of `template`; none where it is no template."""
    stem, mark, suffix = template.partition(TEMPLATE_MARK)
    if not mark:
        return set()
    return {unit for unit in units if unit.startswith(f"{stem}@") and unit.endswith(f".{suffix}") and unit != template}


def transient_user(prefix: str, stack: str, app: str) -> str:
    """Return the user name of an app that runs as a user of its own: at most 31 characters, unlike any other's."""
    import hashlib  # Loads OpenSSL: 3 ms, which only the planner needs to spend.

    short_hash = hashlib.sha256("/".join((prefix, stack, app)).encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", app)[:20]
    return f"o_{readable}_{short_hash}"


@dataclass(frozen=True, order=True)
class Address:
    """An app, process or instance: `dev/api:worker@2`, or a shorter form of it.

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
        """Return whether every part that this address names is the same in `other`."""
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
    counts = Counter(form for own_forms in forms for form in own_forms)
    return [next((form for form in own_forms if counts[form] == 1), own_forms[-1]) for own_forms in forms]


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
    """Return whether the name of an environment variable says that its value is a secret."""
    return bool(SECRET.search(variable))
