"""One container on the engine: made as its settings say, looked at, stopped. The only user of the docker library."""

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
    """The engine refuses, or something is in the way: one line for the journal."""


class State(NamedTuple):
    """How a container is."""

    status: str
    """`created`, `running`, `exited`, … or `gone`."""
    health: str
    """`healthy`, `unhealthy`, `starting`; empty for one without a check."""
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
            if (found := self._find(client)) is not None:
                found.remove(force=True)
            for volume in self._volumes if volumes else ():
                if volume.named:
                    with suppress(NotFound):
                        client.volumes.get(volume.source).remove()

    def _engine(self) -> _Engine:
        return _Engine(self)

    def _find(self, client: Any) -> Any:
        try:
            found = client.containers.get(self.name)
        except NotFound:
            return None
        if found.labels.get(MANAGED) != "true":
            raise CannotError(f"cannot use the container {self.name}: somebody else made it; rename or remove it")
        return found


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
        """Have it run: as it is if it is up to date, else made anew; its volumes stay."""
        with self._engine() as client:
            self._network(client)
            image = self._image(client)
            found = self._find(client)
            if found is not None and (found.labels.get(DIGEST) != self._digest or found.image.id != image):
                found.remove(force=True)
                found = None
            found = found or self._create(client)
            if found.status != "running":
                if self._files:
                    found.put_archive("/", self._files)
                found.start()

    def state(self) -> State:
        """Return how it is."""
        with self._engine() as client:
            found = self._find(client)
            if found is None:
                return State("gone", "", 0, "")
            state = found.attrs["State"]
            health = (state.get("Health") or {}).get("Status", "")
            return State(state["Status"], health, int(state.get("ExitCode", 0)), str(state.get("Error", "")))

    def log(self, since: float) -> Iterator[bytes]:
        """Yield what it writes from a moment on, until it ends."""
        with self._engine() as client:
            found = self._find(client)
            if found is not None:
                yield from found.logs(stream=True, follow=True, since=since)

    def execute(self, argv: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Run a program inside; its exit status, what it wrote, and what it complained of."""
        with self._engine() as client:
            found = self._find(client)
            if found is None:
                raise CannotError(f"the container {self.name} was removed")
            status, streams = found.exec_run(argv, environment=environment, demux=True)
            output, errors = ((stream or b"").decode(errors="replace") for stream in streams)
            return int(status), output, errors

    def put(self, files: bytes) -> None:
        """Put an archive of files into it."""
        with self._engine() as client:
            if (found := self._find(client)) is not None:
                found.put_archive("/", files)

    def stop(self) -> None:
        """Stop it, and wait until it has."""
        with self._engine() as client:
            found = self._find(client)
            if found is not None:
                found.stop(timeout=max(1, round(self._spec.stop_timeout / 1000)))

    def kill(self) -> None:
        """End it at once."""
        with self._engine() as client:
            found = self._find(client)
            if found is not None and found.status == "running":
                found.kill()

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
            volumes={one.source: {"bind": one.target, "mode": one.mode} for one in spec.volumes},
            network=spec.network,
            extra_hosts=dict(text.split(":", 1) for text in spec.extra_hosts),
            labels={**spec.labels, DIGEST: self._digest},
            cgroup_parent=self._parent(client),
            # Restarts are systemd's affair.
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


def remove_strays(project: str, stack: str, known: Collection[str]) -> list[str]:
    """Remove the stopped containers of a stack that are not among `known`; their names. Volumes stay."""
    try:
        client = docker.from_env(timeout=PATIENCE_S)
        labels = [f"{MANAGED}=true", f"omnitron.project={project}", f"omnitron.stack={stack}"]
        found = client.containers.list(all=True, filters={"label": labels})
        strays = [one for one in found if one.name not in known and one.status != "running"]
        for one in strays:
            one.remove()
    except (DockerException, RequestException) as error:
        raise EngineDownError(str(error)) from error
    return [one.name for one in strays]


class _Engine:
    """The engine for the length of one question; what goes wrong is told apart by whose fault it is."""

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
