"""The compiled policies that `generate` wrote: what is installed, for the verbs that load no definition.

The files are made by `omnitron.planner.policy`. Times are in milliseconds. Keys that this version does
not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.names import Address, parse_address, unit_part

T = TypeVar("T")

MAX_INSTANCES = 1000
INFRA = "infra"
"""Mode of the servers of a stack."""
VERSION = 1
"""The newest format that is understood."""


@dataclass(frozen=True)
class RestartsPolicy:
    """When, how often and how soon a crashed process starts again."""

    enabled: bool
    restart: str
    max_restarts: int
    window: int
    backoff: str
    """`exponential:1000:30000:2`: type, initial, max, factor."""
    record: str | None
    """Its crash record, below the folder of records; None where systemd alone counts."""


@dataclass(frozen=True)
class ScalingPolicy:
    """How a pool follows the load. Times in milliseconds, memory in bytes."""

    max_instances: int
    target_cpu: float
    target_memory: float
    queue_threshold: int
    cooldown: int
    memory_max: int | None
    """The limit of each instance, which `target_memory` is a share of."""


@dataclass(frozen=True)
class ProcessPolicy:
    """One process of an app."""

    name: str
    unit: str
    """Its service, a template for a pool."""
    instances: int | None
    """Number of instances of a pool, None for a single process."""
    slice: str
    sockets: tuple[str, ...]
    control: str | None
    """Folder of its own socket below `%t`, an instance's with `@N` after it; None without a process host."""
    port: int | None
    critical: bool
    stop_timeout: int
    retries: int
    """Failed health checks from outside that are too many; 0 where nobody asks."""
    restarts: RestartsPolicy
    scaling: ScalingPolicy | None
    """None for a pool of a fixed size."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that it is given."""

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that run: one, or one per instance."""
        if self.instances is None:
            return (self.unit,)
        return tuple(self.service(number) for number in range(1, self.instances + 1))

    def service(self, instance: int | None = None) -> str:
        """Return the name of its service, of an instance of a pool."""
        return self.unit if instance is None else self.unit.replace("@.", f"@{instance}.", 1)


@dataclass(frozen=True)
class WatchPolicy:
    """Which files restart an app when they change."""

    folders: tuple[str, ...]
    ignore: tuple[str, ...]
    """Patterns as in a .gitignore."""
    excepted: tuple[str, ...]
    """Files that do not count."""
    debounce: int
    """Time to wait for more changes."""


@dataclass(frozen=True)
class AppPolicy:
    """One app of a stack."""

    name: str
    mode: str
    """`bootstrap` or `classic`; `infra` for a server of the stack."""
    enabled: bool
    critical: bool
    depends_on: tuple[str, ...]
    priority: int
    """Lower stops first."""
    target: str | None
    """Unit that starts and stops all processes, None for an app with one."""
    gate: str | None
    """Unit that opens when the app is healthy, None where nothing depends on it."""
    processes: tuple[ProcessPolicy, ...]
    watch: WatchPolicy | None
    """None where no file restarts it."""

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services of all processes."""
        return tuple(service for process in self.processes for service in process.services)


@dataclass(frozen=True)
class PortPolicy:
    """A TCP port on which Prometheus reads figures, and the file with the token that it has to have."""

    host: str
    port: int
    token_file: str


@dataclass(frozen=True)
class ServicePolicy:
    """A database, cache or other service of a stack."""

    name: str
    kind: str
    """`postgres`, `redis`, … or `custom`."""
    provider: str
    """`native`, `systemd` or `external`."""
    why: str
    """Why it is that one."""
    host: str
    ports: Mapping[str, int]
    users: tuple[str, ...]
    """Apps that use it."""
    app: str | None
    """The app that it is for the verbs, None when it is not ours to start."""
    unit: str | None
    """The host's unit that runs it, None when none does."""
    databases: tuple[str, ...]
    password: str | None
    """Name of the secret that its clients give, None for a service that has one for each or none."""
    container: Mapping[str, Any] | None = None
    """Name and volumes of its container, None where there is none."""


@dataclass(frozen=True)
class MaintenancePolicy:
    """The Redis database in which a gateway's maintenance mode is kept."""

    host: str
    port: int
    database: int
    credential: str | None
    """Secret that is its password."""


@dataclass(frozen=True)
class StackPolicy:
    """One installed stack; its apps are in the order in which they start."""

    path: Path
    """The file that this was read from."""
    project: str
    stack: str
    type: str
    prefix: str
    source: Path
    """The definition."""
    target: str
    slice: str
    critical_target: str
    log_namespace: str | None
    """Its journal namespace, None for the host's journal."""
    strategy: str
    max_restarts: int
    window: int
    sample_interval: int
    """Time between two samples of figures."""
    retention: int
    """How long they are kept."""
    prometheus: PortPolicy | None
    """None where the watcher's own socket is enough."""
    apps: tuple[AppPolicy, ...]
    infra: tuple[ServicePolicy, ...] = ()
    """Its databases, caches and other services, whoever runs them."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The ports of its own servers and its gateway, by `service.port` and `gateway`."""
    redis_numbers: Mapping[str, int] = field(default_factory=dict)
    """The Redis databases of its apps, by `app/purpose`."""
    maintenance: MaintenancePolicy | None = None
    """Where its gateway reads whether it is in maintenance; None without a gateway, or a Redis for it."""

    @property
    def prefix_part(self) -> str:
        """The prefix as it stands in unit names and in the folder of its crash records."""
        return unit_part(self.prefix)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services of all apps."""
        return tuple(service for app in self.apps for service in app.services)

    @property
    def stem(self) -> str:
        """What the names of its units begin with: `omnitron-dev`."""
        return self.target.removesuffix(".target")

    @property
    def opener(self) -> str:
        """Opens its secrets, where those are in a sealed file."""
        return f"{self.stem}-secrets.service"

    def address_of(self, service: str) -> Address | None:
        """Return the shortest address that means a service inside the stack; None for one that is not its."""
        for app in self.apps:
            for process in app.processes:
                head, at, tail = process.unit.partition("@.")
                number = service.removeprefix(f"{head}@").removesuffix(f".{tail}")
                name = process.name if len(app.processes) > 1 else None
                if not at and service == process.unit:
                    return Address(None, app.name, name)
                if at and number.isdigit() and service == process.service(int(number)):
                    return Address(None, app.name, name, int(number))
        return None


class Target(NamedTuple):
    """What an address means: an app, one process of it, or one instance of that."""

    stack: StackPolicy
    app: AppPolicy
    process: ProcessPolicy | None
    instance: int | None

    @property
    def address(self) -> Address:
        """Its full address."""
        process = self.process.name if self.process else None
        return Address(self.stack.stack, self.app.name, process, self.instance)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that are meant."""
        if self.process is None:
            return self.app.services
        if self.instance is not None:
            return (self.process.service(self.instance),)
        return self.process.services


def read_policies(folders: Iterable[Path], damaged: Callable[[OmnitronError], None] | None = None) -> list[StackPolicy]:
    """Return what is installed, by name of the file; the first folder that has a stack wins, as for unit files.

    A damaged file is passed over and told to `damaged`, or raises OmnitronError without one; a folder that is not
    there is empty.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _files(folder):
            found.setdefault(path.name, path)
    policies = []
    for name in sorted(found):
        try:
            policies.append(_read(found[name]))
        except OmnitronError as error:
            if damaged is None:
                raise
            damaged(error)
    return policies


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise NotPermittedError(f"cannot list {folder}: permission denied", hint="use sudo") from error


def _read(path: Path) -> StackPolicy:
    try:
        data = json.loads(path.read_bytes())
        if data["version"] <= VERSION:
            return _stack(path, data)
    except PermissionError as error:
        raise NotPermittedError(f"cannot read {path}: permission denied", hint="use sudo") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise OmnitronError(
            f"cannot tell what is installed: {path} is damaged", hint="`omnitron generate` writes it again"
        ) from error
    raise OmnitronError(
        f"cannot tell what is installed: a newer omnitron wrote {path}", hint="use that one, or generate again"
    )


def _stack(path: Path, data: Mapping[str, Any]) -> StackPolicy:
    return StackPolicy(
        path=path,
        project=str(data["project"]),
        stack=str(data["stack"]),
        type=str(data["type"]),
        prefix=str(data["prefix"]),
        source=Path(data["source"]),
        target=str(data["target"]),
        slice=str(data["slice"]),
        critical_target=str(data["criticalTarget"]),
        log_namespace=_optional(str, data["logNamespace"]),
        strategy=str(data["strategy"]),
        max_restarts=int(data["maxRestarts"]),
        window=int(data["window"]),
        sample_interval=int(data.get("metrics", {}).get("interval", 5_000)),
        retention=int(data.get("metrics", {}).get("retention", 3_600_000)),
        prometheus=_optional(_port, data.get("metrics", {}).get("prometheus")),
        apps=tuple(_app(app) for app in data["apps"]),
        infra=tuple(_service(service) for service in data.get("infra", ())),
        ports={str(label): int(port) for label, port in data.get("ports", {}).items()},
        redis_numbers={str(use): int(number) for use, number in data.get("redisNumbers", {}).items()},
        maintenance=_optional(_maintenance, data.get("maintenance")),
    )


def _maintenance(data: Mapping[str, Any]) -> MaintenancePolicy:
    credential = _optional(str, data["credential"])
    return MaintenancePolicy(str(data["host"]), int(data["port"]), int(data["database"]), credential)


def _service(data: Mapping[str, Any]) -> ServicePolicy:
    return ServicePolicy(
        name=str(data["name"]),
        kind=str(data["kind"]),
        provider=str(data["provider"]),
        why=str(data["why"]),
        host=str(data["host"]),
        ports={str(name): int(port) for name, port in data["ports"].items()},
        users=tuple(data["users"]),
        app=_optional(str, data["app"]),
        unit=_optional(str, data["unit"]),
        databases=tuple(data["databases"]),
        password=_optional(str, data["password"]),
        container=data.get("container"),
    )


def _app(data: Mapping[str, Any]) -> AppPolicy:
    return AppPolicy(
        name=str(data["name"]),
        mode=str(data["mode"]),
        enabled=bool(data["enabled"]),
        critical=bool(data["critical"]),
        depends_on=tuple(data["dependsOn"]),
        priority=int(data["priority"]),
        target=_optional(str, data["target"]),
        gate=_optional(str, data["gate"]),
        processes=tuple(_process(process) for process in data["processes"]),
        watch=_optional(_watch, data.get("watch")),
    )


def _process(data: Mapping[str, Any]) -> ProcessPolicy:
    restarts = data["restarts"]
    return ProcessPolicy(
        name=str(data["name"]),
        unit=str(data["unit"]),
        instances=_optional(_count, data["instances"]),
        slice=str(data["slice"]),
        sockets=tuple(data["sockets"]),
        control=_optional(str, data.get("control")),
        port=_optional(int, data["port"]),
        critical=bool(data["critical"]),
        stop_timeout=int(data["stopTimeout"]),
        retries=int((data.get("health") or {}).get("retries", 0)),
        restarts=RestartsPolicy(
            enabled=bool(restarts["enabled"]),
            restart=str(restarts["restart"]),
            max_restarts=int(restarts["maxRestarts"]),
            window=int(restarts["window"]),
            backoff=str(restarts["backoff"]),
            record=_optional(str, restarts["record"]),
        ),
        scaling=_optional(_scaling, data.get("scaling")),
        secrets=tuple(data.get("secrets", ())),
    )


def _port(data: Mapping[str, Any]) -> PortPolicy:
    return PortPolicy(str(data["host"]), int(data["port"]), str(data["tokenFile"]))


def _watch(data: Mapping[str, Any]) -> WatchPolicy:
    return WatchPolicy(tuple(data["folders"]), tuple(data["ignore"]), tuple(data["except"]), int(data["debounce"]))


def _scaling(data: Mapping[str, Any]) -> ScalingPolicy:
    return ScalingPolicy(
        max_instances=_count(data["maxInstances"]),
        target_cpu=float(data["targetCPU"]),
        target_memory=float(data["targetMemory"]),
        queue_threshold=max(1, int(data["queueThreshold"])),
        cooldown=int(data["cooldown"]),
        memory_max=_optional(int, data["memoryMax"]),
    )


def _count(value: Any) -> int:
    if not 1 <= int(value) <= MAX_INSTANCES:
        raise ValueError(f"not a number of instances: {value}")
    return int(value)


def _optional(kind: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else kind(value)


def resolve(text: str, policies: Iterable[StackPolicy], here: Path | None = None) -> list[Target]:
    """Return what the address `text` means: one app, process or instance, in a list.

    Where an address means several, those whose definition lies in the folder `here` or above it are
    preferred. Raises UsageError for one that is still ambiguous, with the candidates, and for an unknown
    one. Any number is an instance of a pool: a scaled one has more than were declared.
    """
    address = parse_address(text)
    if address is None:
        raise UsageError(
            f"cannot read {text!r} as an address: it has the form [stack/]app[:process][@instance]",
            hint="for example api, api:worker, dev/api:worker@2",
        )
    if address.instance is not None and not 1 <= address.instance <= MAX_INSTANCES:
        raise UsageError(f"cannot find {text!r}: instances are numbered from 1 to {MAX_INSTANCES}")
    policies = list(policies)
    found = _matches(address, policies)
    if len(found) > 1 and here is not None:
        found = [target for target in found if target.stack.source.parent in (here, *here.parents)] or found
    if not found:
        raise _unknown(text, address, policies)
    if len(found) > 1:
        raise _ambiguous(text, found)
    return found


def _matches(address: Address, policies: list[StackPolicy]) -> list[Target]:
    """Return everything that fits; an instance alone (`api@2`) means that of each pool of the app."""
    found = []
    for stack in policies:
        for app in stack.apps:
            if address.of_app.matches(Address(stack.stack, app.name)):
                found += [Target(stack, app, process, address.instance) for process in _chosen(address, app)]
    return found


def _chosen(address: Address, app: AppPolicy) -> list[ProcessPolicy | None]:
    if address.process is None and address.instance is None:
        return [None]
    return [
        process
        for process in app.processes
        if address.process in (None, process.name) and (address.instance is None or process.instances is not None)
    ]


def _ambiguous(text: str, found: list[Target]) -> UsageError:
    addresses = [str(target.address) for target in found]
    if len(set(addresses)) < len(addresses):
        named = [f"{target.address} of {target.stack.source}" for target in found]
        return UsageError(
            f"cannot tell which {text!r} is meant: {', '.join(named)}",
            hint="call it from the folder of that definition",
        )
    return UsageError(f"cannot tell which {text!r} is meant: {', '.join(addresses)}", hint="name one of these")


def _unknown(text: str, address: Address, policies: list[StackPolicy]) -> UsageError:
    import difflib

    if not policies:
        return nothing_installed()
    plain = _matches(Address(address.stack, address.app, address.process), policies)
    if address.instance is not None and plain:
        return UsageError(f"cannot find {text!r}: {plain[0].address} is no pool, it has no instances")
    near = _near_names(policies)
    names = difflib.get_close_matches(text, near, 3, 0.6) or difflib.get_close_matches(address.app, near, 3, 0.6)
    guesses = list(dict.fromkeys(near[name] for name in names))[:3]
    if guesses:
        return UsageError(f"cannot find {text!r}", hint=f"did you mean {' or '.join(guesses)}?")
    known = [f"{stack.stack}/{app.name}" for stack in policies for app in stack.apps]
    return UsageError(f"cannot find {text!r}", hint=f"there is {', '.join(dict.fromkeys(known))}")


def _near_names(policies: list[StackPolicy]) -> dict[str, str]:
    """Return every form in which an app or process could have been meant, with the address to suggest."""
    near: dict[str, str] = {}
    for stack in policies:
        for app in stack.apps:
            full = f"{stack.stack}/{app.name}"
            near |= {app.name: full, full: full}
            for process in app.processes if len(app.processes) > 1 else ():
                for form in (process.name, f"{app.name}:{process.name}", f"{full}:{process.name}"):
                    near.setdefault(form, f"{full}:{process.name}")
    return near


def nothing_installed() -> UsageError:
    """Return the error for a host on which nothing is installed."""
    return UsageError(
        "cannot find any app: no stack is installed here",
        hint="`omnitron generate` installs one; --user shows those of your own manager",
    )
