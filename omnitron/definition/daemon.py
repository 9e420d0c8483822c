"""Settings of omnitron itself on one host (`IDaemonConfig`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitron.definition.fields import Duration, Model, Port, Size, Text

Category = Literal["metrics", "logs", "events", "alerts", "traces", "state"]


class MasterAddress(Model):
    """Where the master answers."""

    host: Text
    """Host."""
    port: Port = 9700
    """Port."""


class SyncBackoff(Model):
    """Delay after a failed synchronisation."""

    initial: Duration = 5_000
    """First."""
    max: Duration = 300_000
    """Upper bound."""
    factor: Annotated[float, Field(ge=1, strict=False)] = 2.0
    """Growth."""


class Sync(Model):
    """How a slave reports to its master (`ISyncConfig`)."""

    interval: Duration = 30_000
    """Time between batches."""
    batch_size: Annotated[int, Field(ge=1)] = 1000
    """Items in one."""
    backoff: SyncBackoff = SyncBackoff()
    """After a failure."""
    categories: list[Category] = ["metrics", "logs", "events", "alerts", "traces", "state"]
    """What is reported."""
    buffer_path: Text = "~/.omnitron/sync-buffer/"
    """Where it waits."""
    max_buffer_size: Size = 500 << 20
    """Most that waits."""


class ElectionTimeout(Model):
    """Bounds of the random time before an election."""

    min: Duration = 5_000
    """Least."""
    max: Duration = 15_000
    """Most."""


class Cluster(Model):
    """Election of a leader."""

    enabled: bool = False
    """Whether there is one."""
    discovery: Literal["redis", "static"] = "redis"
    """How peers are found."""
    peers: list[Text] = []
    """Addresses of peers."""
    election_timeout: ElectionTimeout = ElectionTimeout()
    """Time before an election."""
    heartbeat_interval: Duration = 2_000
    """Time between heartbeats."""


class Secrets(Model):
    """Where secrets are kept."""

    provider: Literal["file", "env"] = "file"
    """Kind of store."""
    path: Text | None = None
    """Path of the file."""
    passphrase: Text | None = None
    """Passphrase of the file."""


class DaemonAuth(Model):
    """Access to the API."""

    jwt_secret: Text | None = None
    """Key of the tokens."""


class HealthMonitor(Model):
    """Checks of other nodes."""

    interval_ms: Annotated[int, Field(ge=1)] = 60_000
    """Time between checks, in milliseconds."""
    concurrency: Annotated[int, Field(ge=1)] = 20
    """Checks at the same time."""
    offline_timeout_ms: Annotated[int, Field(ge=1)] = 90_000
    """Silence after which a node is offline, in milliseconds."""
    ping_enabled: bool = True
    """Whether nodes are pinged."""
    ping_timeout: Duration = 5_000
    """Deadline of a ping."""
    ssh_timeout: Duration = 10_000
    """Deadline of a login."""
    omnitron_check_timeout: Duration = 15_000
    """Deadline of a check."""
    retention_days: Annotated[int, Field(ge=1)] = 90
    """Days for which results are kept."""
    uptime_interval_ms: Annotated[int, Field(ge=1)] = 86_400_000
    """Length of the uptime bar, in milliseconds."""


class DaemonConfig(Model):
    """Settings of omnitron itself on one host (`IDaemonConfig`)."""

    socket_path: Text = "~/.omnitron/daemon.sock"
    """Local socket."""
    port: Port = 9700
    """TCP port for other nodes."""
    host: Text = "0.0.0.0"
    """Address for other nodes."""
    http_port: Port = 9800
    """Port of the console."""
    pid_file: Text = "~/.omnitron/daemon.pid"
    """Path of the PID file."""
    state_file: Text = "~/.omnitron/state.json"
    """Path of the state."""
    log_dir: Text = "~/.omnitron/logs"
    """Folder of the logs."""
    role: Literal["master", "slave"] = "master"
    """Role among nodes."""
    master: MasterAddress | None = None
    """Where a slave reports to."""
    sync: Sync | None = None
    """How a slave reports."""
    cluster: Cluster | None = None
    """Election of a leader."""
    secrets: Secrets | None = None
    """Where secrets are kept."""
    auth: DaemonAuth | None = None
    """Access to the API."""
    health_monitor: HealthMonitor | None = None
    """Checks of other nodes."""
