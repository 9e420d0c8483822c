"""The settings that a process may declare, wherever it is declared: the fields that apps and processes share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from omnitron.definition.fields import Argv, Duration, Environment, Folder, Model, Port, Size, Text, hosted


class Backoff(Model):
    """The growth of the delay before a restart with the number of crashes inside the window."""

    type: Literal["exponential", "linear", "fixed"] = "exponential"
    """`exponential`: initial·factor^(n-1); `linear`: initial + factor·(n-1)·initial; `fixed`: initial."""
    initial: Duration = 1000
    """Delay before the first restart, in milliseconds or as `"1s"`; 0 restarts at once, without any helper."""
    max: Duration = 30_000
    """Upper bound of the delay, in milliseconds or as `"30s"`."""
    factor: Annotated[float, Field(ge=0, le=1000, strict=False)] = 2.0
    """Growth of the delay with each crash, used by `exponential` and `linear`."""


class RestartPolicy(Model):
    """Overrides the ecosystem's `supervision` for one app or process, field by field."""

    enabled: bool | None = None
    """True if it is restarted at all; `false` leaves it down after any end."""
    restart: Literal["on-failure", "always"] | None = None
    """`always` restarts after a clean exit too; the default is `on-failure`."""
    max_restarts: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Restarts inside the window before the process is given up."""
    window: Duration | None = None
    """Length of the sliding window in which crashes are counted, in milliseconds or as `"1min"`."""
    delay: Duration | None = None
    """Fixed delay before each restart, in milliseconds or as `"2s"`; ignored where `backoff` is set."""
    backoff: Backoff | None = None
    """Delay before each restart, and how it grows with each crash."""


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
    """True if and how the health of a process is watched."""

    enabled: bool = True
    """True if health is checked; `false` switches the probe off."""
    probe: HealthProbe | None = None
    """The probe of a program that does not speak sd_notify; decides when it counts as started."""
    interval: Duration = hosted(15_000)
    """Time between two checks, in milliseconds or as `"15s"`; with a probe, of any program."""
    timeout: Duration = 5_000
    """Deadline for the answer of one check, in milliseconds or as `"5s"`."""
    retries: Annotated[int, Field(ge=1, le=1000)] = hosted(3)
    """Failures in a row before the process counts as unhealthy, and is restarted; with a probe, of any program."""
    start_period: Duration = hosted(0)
    """Time after a start in which failed checks do not count, in milliseconds or as `"30s"`; it still has to answer
    once within `startupTimeout`."""


class HttpTransport(Model):
    """An HTTP listener."""

    port: Port
    """TCP port to listen on, such as 8080."""
    host: Text = "0.0.0.0"
    """IP address to listen on; `127.0.0.1` for this host alone."""
    socket_activation: bool | None = None
    """Let systemd hold the listening socket and pass it on (LISTEN_FDS): always for a `module`, else if asked for."""
    cors: Any = hosted(True)
    """Cross-origin requests: true, false, or the CORS settings."""
    request_timeout: Duration = hosted(120_000)
    """Longest time for one request, in milliseconds or as `"2min"`."""
    keep_alive_timeout: Duration = hosted(65_000)
    """Time after which an idle connection is closed, in milliseconds or as `"65s"`."""
    headers_timeout: Duration = hosted(60_000)
    """Longest time for a request's headers, in milliseconds or as `"1min"`."""
    max_request_size: Size | None = hosted()
    """Largest request body, in bytes or as `"10mb"`, which it is if omitted."""
    app_version: Text | None = hosted()
    """Version of the app to report in responses."""


class KeepAlive(Model):
    """Pings on a WebSocket."""

    interval: Duration | None = None
    """Time between two pings to a client, in milliseconds or as `"30s"`."""
    timeout: Duration | None = None
    """Longest time for a client's answer to a ping, in milliseconds or as `"10s"`."""


class WebSocketTransport(Model):
    """A WebSocket listener."""

    port: Port
    """TCP port to listen on, such as 8081."""
    host: Text = "0.0.0.0"
    """IP address to listen on; `127.0.0.1` for this host alone."""
    socket_activation: bool | None = None
    """Let systemd hold the listening socket and pass it on (LISTEN_FDS): always for a `module`, else if asked for."""
    path: Text = hosted("/ws")
    """Path of the endpoint on that port."""
    keep_alive: KeepAlive | None = hosted()
    """Pings that find out whether a client is still there."""


class Transports(Model):
    """The listeners of a process."""

    http: HttpTransport | None = None
    """HTTP listener: port, address, timeouts."""
    websocket: WebSocketTransport | None = None
    """WebSocket listener: port, address, path."""


class Scaling(Model):
    """The limits and targets of a pool that follows its load."""

    strategy: Literal["auto", "fixed"] = "fixed"
    """`auto` follows the load, `fixed` keeps `instances`."""
    max_instances: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Most instances that `auto` may start; `instances` is the fewest."""
    target_cpu: Annotated[float, Field(gt=0, strict=False, allow_inf_nan=False)] = Field(default=70, alias="targetCPU")
    """CPU per instance to stay below, in per cent."""
    target_memory: Annotated[float, Field(gt=0, strict=False, allow_inf_nan=False)] = 80
    """Memory per instance to stay below, in per cent of its limit; without file cache that is not in use."""
    queue_threshold: Annotated[int, Field(ge=1)] = 100
    """Pending calls before one more instance starts."""
    cooldown_period: Duration = 60_000
    """Shortest time between two changes, in milliseconds or as `"1min"`."""


class Paths(Model):
    """Folders that a process may write; everything else is read-only under `hardening: strict`."""

    state: Folder = False
    """A directory that stays: true for `/var/lib/<prefix>/<stack>/<app>` (in $STATE_DIRECTORY), or a name."""
    cache: Folder = False
    """A directory that may be lost: true for `/var/cache/<prefix>/<stack>/<app>` (in $CACHE_DIRECTORY)."""
    write: list[Text] = []
    """More paths to write to, absolute or relative to the project's folder; they must exist."""


LEAST_TASKS = 2
"""The fewest tasks: a crash is recorded by two programs at once, and they are tasks of the process too."""


def _enough_tasks(value: int) -> int:
    if value < LEAST_TASKS:
        raise ValueError(f"must be at least {LEAST_TASKS}, for so many programs note a crash, not {value}")
    return value


class Limits(Model):
    """Bounds on what a process may use, enforced by its cgroup."""

    memory_max: Size | None = None
    """Memory beyond which it is killed, in bytes or as `"512mb"` (`MemoryMax=`)."""
    memory_high: Size | None = None
    """Memory beyond which it is slowed down, in bytes or as `"400mb"` (`MemoryHigh=`)."""
    cpu_quota: (
        Annotated[str, Field(pattern=r"^[0-9]{1,6}%$"), WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,6}%$"})]
        | None
    ) = None
    """CPU time as a share of one CPU, such as `"150%"` (`CPUQuota=`)."""
    cpu_weight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Share of CPU among its siblings, 1 to 10000, 100 by default (`CPUWeight=`)."""
    tasks_max: (
        Annotated[int, AfterValidator(_enough_tasks), WithJsonSchema({"type": "integer", "minimum": LEAST_TASKS})]
        | None
    ) = None
    """Most processes and threads (`TasksMax=`); two at least, for that many note a crash."""
    io_weight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Share of block IO among its siblings, 1 to 10000, 100 by default (`IOWeight=`)."""


RawDirectives = dict[str, str | int | bool | list[str]]
"""Directives as systemd spells them; a list repeats the line."""


class RawUnit(Model):
    """Directives of systemd that have no field here, written into the unit as they are."""

    unit: RawDirectives = {}
    """Directives for the `[Unit]` section, such as `{Documentation: "https://…"}`."""
    service: RawDirectives = {}
    """Directives for the `[Service]` section, such as `{KillSignal: SIGINT}`."""


Hardening = Literal["strict", "standard", "off"]


class Defaults(Model):
    """What holds for every process of the project that does not say otherwise."""

    user: Text | None = None
    """User to run as."""
    limits: Limits | None = None
    """Bounds on memory, CPU, tasks and IO; an app or process overrides them field by field."""
    hardening: Hardening | None = None
    """Level of the sandbox: `strict`, `standard` or `off`."""


class ProcessSettings(Model):
    """The settings of a single process, on an app's entry or on a process of its definition."""

    critical: bool = False
    """Its final failure stops the whole stack."""
    instances: Annotated[int, Field(ge=1, le=1000)] | None = None
    """More than one makes a pool of equal instances."""
    env: Environment = {}
    """Environment variables by name; `${secret:NAME}` is filled in."""
    startup_timeout: Duration = 30_000
    """Longest time until it is ready, in milliseconds or as `"30s"`; beyond it the start is a crash."""
    restart_policy: RestartPolicy | None = None
    """Restart budget and delays; they override `supervision`, field by field."""
    health: Health | None = None
    """Probe, interval and deadline of its health checks."""
    transports: Transports | None = None
    """Ports and sockets that it listens on."""
    user: Text | None = None
    """User to run as; the owner of the definition if omitted, but root must be named. `dynamic`: a transient one.
    For the system's manager a definition is root's, or in a folder that root has trusted (`omnitron trust`).
    """
    group: Text | None = None
    """Group to run as; the user's own if omitted."""
    paths: Paths | None = None
    """Folders that it may write to; everything else is read-only."""
    limits: Limits | None = None
    """Bounds on its memory, CPU, tasks and IO; they override those of the app and of `defaults`, field by field."""
    hardening: Hardening | None = None
    """Level of the sandbox: `strict`, `standard` or `off`; `strict` by default."""
    systemd: RawUnit | None = None
    """Directives of systemd that have no field here, as they are."""


class Shutdown(Model):
    """The stop of a process."""

    timeout: Duration = 10_000
    """Time after SIGTERM until the whole cgroup is killed, in milliseconds or as `"10s"`."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    """Lower stops first, where `dependsOn` leaves a choice."""
    drain_connections: bool = hosted(True)
    """Finish what is in flight before the end."""
