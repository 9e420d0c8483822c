"""One container on the engine: created, watched and stopped. The only module that uses the docker library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from omnitron.policy.codec import marshal
from omnitron.policy.server_specs import BuildSpec, ContainerCheck, ContainerSpec, ContainerVolume

DIGEST = "omnitron.digest"
MANAGED = "omnitron.managed"
PATIENCE_S = 15


class EngineDownError(Exception):
    """The engine does not answer."""


class CannotError(Exception):
    """A failure of the engine or of the container: one line for the journal."""


class State(NamedTuple):
    """The state of a container."""

    status: str
    """`created`, `running`, `exited`, … or `gone`."""
    health: str
    """`healthy`, `unhealthy`, `starting`; empty without a check."""
    exit_code: int
    error: str


class NamedContainer:
    """A container on the engine: its name, and the volumes that were made for it."""

    def __init__(self, name: str, volumes: Iterable[ContainerVolume]) -> None:
        """Take what tells it from all others."""
        self.name = name
        self._volumes = tuple(volumes)
        self._client: Any = None

    def remove(self, *, volumes: bool) -> None:
        """Remove it and, when asked, the volumes that were made for it."""
        with self._engine() as client:
            if (container := self._find(client)) is not None:
                container.remove(force=True)
            for volume in self._volumes if volumes else ():
                if volume.named:
                    with suppress(NotFound):
                        client.volumes.get(volume.source).remove()

    def _engine(self) -> _Engine:
        return _Engine(self)

    def _find(self, client: Any) -> Any:
        try:
            container = client.containers.get(self.name)
        except NotFound:
            return None
        if container.labels.get(MANAGED) != "true":
            raise CannotError(f"cannot use the container {self.name}: somebody else made it; rename or remove it")
        return container


class Container(NamedContainer):
    """The container that a spec describes, with the values of its environment filled in."""

    def __init__(self, spec: ContainerSpec, environment: dict[str, str], files: bytes | None = None) -> None:
        """Take what it is; `files` is an archive that is put into it before it starts."""
        super().__init__(spec.name, spec.volumes)
        self._spec = spec
        self._files = files
        self._environment = environment
        made_of = json.dumps([marshal(spec), environment], sort_keys=True)
        self._digest = hashlib.sha256(made_of.encode()).hexdigest()[:24]

    def start(self) -> None:
        """Start the container, created again first unless it is up to date; its volumes stay."""
        with self._engine() as client:
            self._network(client)
            image = self._image(client)
            container = self._find(client)
            if container is not None and (container.labels.get(DIGEST) != self._digest or container.image.id != image):
                container.remove(force=True)
                container = None
            container = container or self._create(client)
            if container.status != "running":
                if self._files:
                    container.put_archive("/", self._files)
                container.start()

    def state(self) -> State:
        """Return the state of the container."""
        with self._engine() as client:
            container = self._find(client)
            if container is None:
                return State("gone", "", 0, "")
            state = container.attrs["State"]
            health = (state.get("Health") or {}).get("Status", "")
            return State(state["Status"], health, int(state.get("ExitCode", 0)), str(state.get("Error", "")))

    def log(self, since: float) -> Iterator[bytes]:
        """Yield the output from a time on, until the container ends."""
        with self._engine() as client:
            container = self._find(client)
            if container is not None:
                yield from container.logs(stream=True, follow=True, since=since)

    def execute(self, argv: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Run a program inside; return its exit status, standard output and standard error."""
        with self._engine() as client:
            container = self._find(client)
            if container is None:
                raise CannotError(f"the container {self.name} was removed")
            status, streams = container.exec_run(argv, environment=environment, demux=True)
            output, errors = ((stream or b"").decode(errors="replace") for stream in streams)
            return int(status), output, errors

    def put(self, files: bytes) -> None:
        """Unpack an archive of files in the container."""
        with self._engine() as client:
            if (container := self._find(client)) is not None:
                container.put_archive("/", files)

    def stop(self) -> None:
        """Stop the container, and wait for its end."""
        with self._engine() as client:
            container = self._find(client)
            if container is not None:
                container.stop(timeout=max(1, round(self._spec.stop_timeout / 1000)))

    def kill(self) -> None:
        """Kill the container."""
        with self._engine() as client:
            container = self._find(client)
            if container is not None and container.status == "running":
                container.kill()

    def _network(self, client: Any) -> None:
        name = self._spec.network
        if name not in ("bridge", "host", "none") and not client.networks.list(names=[name]):
            labels = {key: value for key, value in self._spec.labels.items() if key != "omnitron.service"}
            client.networks.create(name, driver="bridge", labels=labels, check_duplicate=True)

    def _image(self, client: Any) -> str:
        name, build = self._spec.image, self._spec.build
        try:
            if build:
                # The engine's cache makes this short when nothing has changed.
                image, _ = client.images.build(tag=name, rm=True, **_built(build))
                return str(image.id)
            return str(client.images.get(name).id)
        except ImageNotFound:
            return str(client.images.pull(name).id)
        except (BuildError, TypeError) as error:
            raise CannotError(f"cannot build the image {name}: {error}") from error

    def _create(self, client: Any) -> Any:
        spec = self._spec
        optional = {
            "command": _words(spec.command),
            "entrypoint": _words(spec.entrypoint),
            "user": spec.user,
            "healthcheck": _check(spec.health),
            "mem_limit": spec.memory,
            "mem_reservation": spec.memory_reservation,
            "nano_cpus": spec.nano_cpus,
            "shm_size": spec.shm_size,
            "stop_signal": spec.stop_signal,
            **_confined(spec.capabilities),
        }
        return client.containers.create(
            spec.image,
            name=self.name,
            hostname=self.name.rpartition("-")[2],
            environment=self._environment,
            ports={inside: list(outside) for inside, outside in spec.ports.items()},
            volumes={volume.source: {"bind": volume.target, "mode": volume.mode} for volume in spec.volumes},
            network=spec.network,
            extra_hosts=dict(text.split(":", 1) for text in spec.extra_hosts),
            labels={**spec.labels, DIGEST: self._digest},
            cgroup_parent=self._parent(client),
            # systemd restarts the service, not the engine.
            restart_policy={"Name": "no"},
            **{key: value for key, value in optional.items() if value is not None},
        )

    def _parent(self, client: Any) -> str | None:
        """Return the stack's slice, where the engine can put a container into one."""
        return self._spec.slice if client.info().get("CgroupDriver") == "systemd" else None


def _words(command: str | tuple[str, ...] | None) -> str | list[str] | None:
    return list(command) if isinstance(command, tuple) else command


def _built(build: BuildSpec) -> dict[str, Any]:
    """Return the arguments of the library for building an image."""
    file = {"dockerfile": build.dockerfile} if build.dockerfile is not None else {}
    return {"path": build.path, "buildargs": dict(build.buildargs), **file}


def _check(check: ContainerCheck | None) -> dict[str, Any] | None:
    """Return a health check as the library takes it."""
    return {**asdict(check), "test": list(check.test)} if check else None


def _confined(capabilities: tuple[str, ...] | None) -> dict[str, Any]:
    """Return the arguments that leave a container these capabilities alone; None leaves it the engine's own."""
    if capabilities is None:
        return {}
    return {"cap_drop": ["ALL"], "cap_add": list(capabilities), "security_opt": ["no-new-privileges"]}


def remove_strays(project: str, stack: str, names: Collection[str]) -> list[str]:
    """Remove the stopped containers of a stack that are not in `names`; return their names. Volumes stay."""
    try:
        client = docker.from_env(timeout=PATIENCE_S)
        labels = [f"{MANAGED}=true", f"omnitron.project={project}", f"omnitron.stack={stack}"]
        containers = client.containers.list(all=True, filters={"label": labels})
        strays = [stray for stray in containers if stray.name not in names and stray.status != "running"]
        for stray in strays:
            stray.remove()
    except (DockerException, RequestException) as error:
        raise EngineDownError(str(error)) from error
    return [stray.name for stray in strays]


class _Engine:
    """A client of the engine; its errors become EngineDownError (no engine) or CannotError (the container)."""

    def __init__(self, owner: NamedContainer) -> None:
        self._owner = owner

    def __enter__(self) -> Any:
        if self._owner._client is None:
            try:
                self._owner._client = docker.from_env(timeout=PATIENCE_S)
            except DockerException as error:
                raise EngineDownError(str(error)) from error
        return self._owner._client

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, APIError):
            why = error.explanation or str(error)
            raise CannotError(f"cannot run the container {self._owner.name}: {why}") from error
        if isinstance(error, RequestException | ConnectionError | TimeoutError):
            self._owner._client = None
            raise EngineDownError(str(error)) from error
