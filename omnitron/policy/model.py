"""The compiled policy of a stack: what runs, and how it is supervised, for every part that loads no definition.

`omnitron.planner.policy` builds it, `generate` writes it beside the units, and the runtime verbs and the watcher read
nothing else of a definition. Times are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from omnitron.names import Address, instance_name, instance_of, unit_part
from omnitron.policy.codec import Document
from omnitron.policy.server_specs import ContainerVolume

MAX_INSTANCES = 1000
INFRA = "infra"
"""Mode of the servers of a stack."""


@dataclass(frozen=True)
class RestartsPolicy:
    """The restart policy of a process."""

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
    """Limits and targets of a pool that follows the load. Times in milliseconds, memory in bytes."""

    max_instances: int
    target_cpu: float
    target_memory: float
    queue_threshold: int
    cooldown: int
    memory_max: int | None
    """The limit of each instance, which `target_memory` is a share of."""

    def __post_init__(self) -> None:
        """Refuse numbers that no pool can have."""
        _check_count(self.max_instances)


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
    secrets: tuple[str, ...]
    """Names of the secrets that it reads."""

    def __post_init__(self) -> None:
        """Refuse a pool whose services would take all memory to count."""
        if self.instances is not None:
            _check_count(self.instances)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that run: one, or one per instance."""
        if self.instances is None:
            return (self.unit,)
        return tuple(self.service(number) for number in range(1, self.instances + 1))

    def service(self, instance: int | None = None) -> str:
        """Return the name of its service, of an instance of a pool."""
        return self.unit if instance is None else instance_name(self.unit, instance)


@dataclass(frozen=True)
class WatchPolicy:
    """The files that restart an app when they change."""

    folders: tuple[str, ...]
    ignore: tuple[str, ...]
    """Patterns as in a .gitignore."""
    excepted: tuple[str, ...]
    """Files that do not count."""
    debounce: int
    """Time to wait for more changes."""
    owner: int | None
    """Uid of those whose folders alone are watched by root's watcher; None for anybody's."""


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
class ContainerPolicy:
    """The container of a service, as far as it can be removed."""

    name: str
    volumes: tuple[ContainerVolume, ...]


@dataclass(frozen=True)
class InfraServicePolicy:
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
    container: ContainerPolicy | None
    """None for a service without one."""


@dataclass(frozen=True)
class MaintenancePolicy:
    """The Redis database in which a gateway's maintenance mode is kept."""

    host: str
    port: int
    database: int
    credential: str | None
    """Secret that is its password."""


@dataclass(frozen=True)
class StackPolicy(Document):
    """One stack; its apps are in the order in which they start, after the servers that they use."""

    VERSION: ClassVar[int] = 2

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
    """Time for which figures are stored."""
    prometheus: PortPolicy | None
    """None where the watcher's own socket is enough."""
    apps: tuple[AppPolicy, ...]
    infra: tuple[InfraServicePolicy, ...]
    """Its databases, caches and other services, whoever runs them."""
    ports: Mapping[str, int]
    """The ports of its own servers and its gateway, by `service.port` and `gateway`."""
    redis_numbers: Mapping[str, int]
    """The Redis databases of its apps, by `app/purpose`."""
    maintenance: MaintenancePolicy | None
    """The place of the maintenance switch of its gateway; None without a gateway, or a Redis for it."""

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
        """First part of the names of its units: `omnitron-dev`."""
        return self.target.removesuffix(".target")

    @property
    def opener(self) -> str:
        """Opens its secrets, where those are in a sealed file."""
        return f"{self.stem}-secrets.service"

    def address_of(self, service: str) -> Address | None:
        """Return the shortest address that means a service inside the stack; None for one that is not its."""
        number = instance_of(service)
        for app in self.apps:
            for process in app.processes:
                name = process.name if len(app.processes) > 1 else None
                if service == process.service(number):
                    return Address(None, app.name, name, number)
        return None

    def full_address(self, service: str) -> str:
        """Return the address of a service, with the stack (`dev/api`); of a unit that is not its, the unit's name."""
        address = self.address_of(service)
        return str(replace(address, stack=self.stack)) if address else service


@dataclass(frozen=True)
class InstalledPolicy(StackPolicy):
    """The policy of an installed stack."""

    path: Path
    """The file that it was read from."""


def _check_count(instances: int) -> None:
    if not 1 <= instances <= MAX_INSTANCES:
        raise ValueError(f"a pool cannot have {instances} instances")


class Selection(NamedTuple):
    """The selection that an address makes: an app, one process of it, or one instance of that."""

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
