"""What a process may declare about itself, wherever it is declared: the fields that apps and processes share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from omnitron.definition.fields import Argv, Duration, Environment, Folder, Model, Port, Size, Text, hosted


class Backoff(Model):
    """How the delay before a restart grows with the number of crashes inside the window."""

    type: Literal["exponential", "linear", "fixed"] = "exponential"
    """`exponential`: initial·factor^(n-1); `linear`: initial + factor·(n-1)·initial; `fixed`: initial."""
    initial: Duration = 1000
    """Delay before the first restart; 0 restarts at once, without any helper."""
    max: Duration = 30_000
    """Upper bound of the delay."""
    factor: Annotated[float, Field(ge=0, le=1000, strict=False)] = 2.0
    """Growth per crash."""


class RestartPolicy(Model):
    """Overrides the ecosystem's `supervision` for one app or process, field by field."""

    enabled: bool | None = None
    """`false` never restarts."""
    restart: Literal["on-failure", "always"] | None = None
    """`always` restarts after a clean exit too; the default is `on-failure`."""
    max_restarts: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Restarts inside the window before the process is given up."""
    window: Duration | None = None
    """Length of the sliding window."""
    delay: Duration | None = None
    """A fixed delay before each restart; ignored where `backoff` is given."""
    backoff: Backoff | None = None
    """How the delay grows."""


def _probe_command(value: object) -> object:
    return ["/bin/sh", "-c", value] if isinstance(value, str) else value


class HealthProbe(Model):
    """A question put to a process from outside; an answer means that it is healthy."""

    type: Literal["http", "tcp", "command"]
    """`http`: a status from 200 to 399; `tcp`: a connection; `command`: exit status 0."""
    target: Text | None = None
    """http: a URL, or a path on the process's own port; tcp: `host:port`, or nothing for its own port."""
    command: Annotated[Argv, BeforeValidator(_probe_command)] | None = None
    """command: the program and its arguments, or one line for a shell."""


class Health(Model):
    """Whether and how the health of a process is watched."""

    enabled: bool = True
    """`false` switches the probe off."""
    probe: HealthProbe | None = None
    """What to ask a program that does not speak sd_notify; decides when it counts as started."""
    interval: Duration = hosted(15_000)
    """Time between two checks; with a probe, of any program."""
    timeout: Duration = 5_000
    """Deadline of one check."""
    retries: Annotated[int, Field(ge=1, le=1000)] = hosted(3)
    """Failures in a row before the process counts as unhealthy, and is restarted; with a probe, of any program."""


class HttpTransport(Model):
    """An HTTP listener."""

    port: Port
    """TCP port."""
    host: Text = "0.0.0.0"
    """Address to listen on."""
    socket_activation: bool | None = None
    """Let systemd hold the listening socket and pass it on (LISTEN_FDS): always for a `module`, else if asked for."""
    cors: Any = hosted(True)
    """Cross-origin requests: true, false, or the CORS settings."""
    request_timeout: Duration = hosted(120_000)
    """Longest time for one request."""
    keep_alive_timeout: Duration = hosted(65_000)
    """How long an idle connection is kept."""
    headers_timeout: Duration = hosted(60_000)
    """Longest time for a request's headers."""
    max_request_size: Size | None = hosted()
    """Largest request body; 10 MB if omitted."""
    app_version: Text | None = hosted()
    """Version to report in responses."""


class KeepAlive(Model):
    """Pings on a WebSocket."""

    interval: Duration | None = None
    """Time between pings."""
    timeout: Duration | None = None
    """Time to wait for the answer."""


class WebSocketTransport(Model):
    """A WebSocket listener."""

    port: Port
    """TCP port."""
    host: Text = "0.0.0.0"
    """Address to listen on."""
    socket_activation: bool | None = None
    """Let systemd hold the listening socket and pass it on (LISTEN_FDS): always for a `module`, else if asked for."""
    path: Text = hosted("/ws")
    """Path of the endpoint."""
    keep_alive: KeepAlive | None = hosted()
    """Pings."""


class Transports(Model):
    """What a process listens on."""

    http: HttpTransport | None = None
    """HTTP."""
    websocket: WebSocketTransport | None = None
    """WebSocket."""


class Scaling(Model):
    """How a pool grows and shrinks."""

    strategy: Literal["auto", "fixed"] = "fixed"
    """`auto` follows the load, `fixed` keeps `instances`."""
    max_instances: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Upper bound."""
    target_cpu: Annotated[float, Field(gt=0, strict=False, allow_inf_nan=False)] = Field(default=70, alias="targetCPU")
    """CPU per instance to stay below, in per cent."""
    target_memory: Annotated[float, Field(gt=0, strict=False, allow_inf_nan=False)] = 80
    """Memory per instance to stay below, in per cent of its limit; without file cache that is not in use."""
    queue_threshold: Annotated[int, Field(ge=1)] = 100
    """Pending calls before one more instance starts."""
    cooldown_period: Duration = 60_000
    """Shortest time between two changes."""


class Paths(Model):
    """What a process may write; everything else is read-only under `hardening: strict`."""

    state: Folder = False
    """A directory that stays: true for `/var/lib/<prefix>/<stack>/<app>` (in $STATE_DIRECTORY), or a name."""
    cache: Folder = False
    """A directory that may be lost: true for `/var/cache/<prefix>/<stack>/<app>` (in $CACHE_DIRECTORY)."""
    write: list[Text] = []
    """More paths to write to, absolute or relative to the project's folder; they must exist."""


LEAST_TASKS = 2
"""What notes a crash are two programs at once, and they are tasks of the process too."""


def _enough_tasks(value: int) -> int:
    if value < LEAST_TASKS:
        raise ValueError(f"must be at least {LEAST_TASKS}, for so many programs note a crash, not {value}")
    return value


class Limits(Model):
    """Bounds on what a process may use, enforced by its cgroup."""

    memory_max: Size | None = None
    """Memory beyond which it is killed (`MemoryMax=`)."""
    memory_high: Size | None = None
    """Memory beyond which it is slowed down (`MemoryHigh=`)."""
    cpu_quota: (
        Annotated[str, Field(pattern=r"^[0-9]{1,6}%$"), WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,6}%$"})]
        | None
    ) = None
    """CPU time as a share of one CPU, such as `"150%"` (`CPUQuota=`)."""
    cpu_weight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Share of CPU among siblings (`CPUWeight=`)."""
    tasks_max: (
        Annotated[int, AfterValidator(_enough_tasks), WithJsonSchema({"type": "integer", "minimum": LEAST_TASKS})]
        | None
    ) = None
    """Processes and threads (`TasksMax=`); two at least, for that many note a crash."""
    io_weight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Share of block IO among siblings (`IOWeight=`)."""


RawDirectives = dict[str, str | int | bool | list[str]]
"""Directives as systemd spells them; a list repeats the line."""


class RawUnit(Model):
    """Directives of systemd that have no field here, written into the unit as they are."""

    unit: RawDirectives = {}
    """For the `[Unit]` section."""
    service: RawDirectives = {}
    """For the `[Service]` section."""


class ProcessSettings(Model):
    """What can be said of a single process, on an app's entry or on a process of its definition."""

    critical: bool = False
    """Its final failure stops the whole stack."""
    instances: Annotated[int, Field(ge=1, le=1000)] | None = None
    """More than one makes a pool of equal instances."""
    env: Environment = {}
    """Environment variables."""
    startup_timeout: Duration = 30_000
    """Longest time until the process is ready; beyond it the start counts as a crash."""
    restart_policy: RestartPolicy | None = None
    """Overrides `supervision`, field by field."""
    health: Health | None = None
    """How its health is checked."""
    transports: Transports | None = None
    """What it listens on."""
    user: Text | None = None
    """User to run as; the owner of the definition if omitted, but root must be named. `dynamic`: a transient one.
    What a user's own definition says counts for that user alone: to name another one, it must be root's.
    """
    group: Text | None = None
    """Group to run as; the user's own if omitted. In a user's own definition, one that the user is in."""
    paths: Paths | None = None
    """What it may write."""
    limits: Limits | None = None
    """Bounds on its resources."""
    hardening: Literal["strict", "standard", "off"] | None = None
    """How far it is shut in: `strict` unless said otherwise."""
    systemd: RawUnit | None = None
    """Raw directives, the escape hatch."""


class Shutdown(Model):
    """How a process is asked to end."""

    timeout: Duration = 10_000
    """Time after SIGTERM until the whole cgroup is killed."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    """Lower stops first, where `dependsOn` leaves a choice."""
    drain_connections: bool = hosted(True)
    """Finish what is in flight before the end."""
