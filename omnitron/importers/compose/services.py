"""The kind of each service of a compose file: an app, a container under `infrastructure`, or nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from omnitron.definition.fields import parse_argv
from omnitron.importers.compose import dockerfile
from omnitron.importers.compose.dockerfile import Image
from omnitron.importers.host_files import Surroundings
from omnitron.importers.report import Report, Section

Kind = Literal["app", "container", "nothing"]

DATABASES = frozenset({
    "cassandra", "clickhouse", "clickhouse-server", "cockroach", "consul", "couchbase", "couchdb", "dynamodb-local",
    "elasticsearch", "etcd", "eventstore", "influxdb", "kafka", "keydb", "mailhog", "mailpit", "mariadb", "meilisearch",
    "memcached", "minio", "mongo", "mongodb", "mosquitto", "mssql", "mysql", "mysql-server", "nats", "neo4j",
    "opensearch", "percona", "pgvector", "postgis", "postgres", "postgresql", "questdb", "rabbitmq", "redis",
    "redis-stack", "redis-stack-server", "redpanda", "rethinkdb", "scylla", "solr", "timescaledb",
    "typesense", "valkey", "vault", "zookeeper",
})  # fmt: skip
"""Images, by the last part of their name, that are a service for apps, whatever their command is."""


@dataclass
class Service:
    """One service of the file, and the decision about it."""

    name: str
    section: Section
    kind: Kind
    argv: list[str] = field(default_factory=list)
    image: Image = field(default_factory=Image)
    """The program in its Dockerfile."""
    context: str | None = None
    """The folder that its image is built from."""
    why: str = ""
    """The reason why it is not imported."""
    called: str = ""
    """Its name in the definition."""

    @property
    def enabled(self) -> bool:
        """Return whether it starts with the others."""
        section = self.section
        deploy = section.data.get("deploy")
        replicas = deploy.get("replicas") if isinstance(deploy, dict) else None
        return not section.data.get("profiles") and 0 not in _counts(section.data.get("scale"), replicas)


def _counts(*values: object) -> list[int]:
    return [int(value) for value in values if isinstance(value, int | float | str) and re.fullmatch(r"\d+", str(value))]


@dataclass(frozen=True)
class Project:
    """The whole file, for the conversion of one service."""

    report: Report
    around: Surroundings
    environ: Mapping[str, str]
    """The variables of compose's environment."""
    services: Mapping[str, Service]


def decide(name: str, section: Section, around: Surroundings) -> Service:
    """Return a service with its kind."""
    context, image = _built(section, around)
    entrypoint, command = _argv(section, "entrypoint"), _argv(section, "command")
    has_image = bool(section.data.get("image"))
    if entrypoint is not None:
        argv = [*entrypoint, *(command or [])]
    else:
        argv = [*(image.entrypoint or []), *(image.command or [] if command is None else command)]
    service = Service(name, section, "app", argv, image, context)
    if has_image and context is None and (_is_database(section) or not _is_program(argv)):
        service.kind = "container"
    elif not _is_program(argv):
        service.kind = "nothing"
        service.why = _why_nothing(section, argv)
    return service


def _why_nothing(section: Section, argv: list[str]) -> str:
    if argv:
        return f"{argv[0]!r} is not a program but an argument for the program of its image, which is not known"
    if section.data.get("build"):
        return "its program is not known: it has no command, and no Dockerfile here with ENTRYPOINT or CMD"
    if section.data.get("extends") or section.data.get("provider"):
        return "its command is defined elsewhere"
    before = len(section.report.problems)
    Section(section.report, section.at, section.data).text("image")
    if len(section.report.problems) == before:
        section.report.wrong(section.at, "cannot run: it has no image, no build and no command")
    return "it has no program"


def _is_program(argv: list[str]) -> bool:
    try:
        return bool(parse_argv(argv))
    except ValueError:
        return False


def _is_database(section: Section) -> bool:
    image = str(section.data.get("image"))
    return re.split(r"[:@]", image.rpartition("/")[2])[0].lower() in DATABASES


def _argv(section: Section, key: str) -> list[str] | None:
    """Return a command: a list as it is, text split into words as a shell would; None without one."""
    value = section.value(key)
    if value is None:
        return None
    if not isinstance(value, str):
        return section.texts(key)
    try:
        return shlex.split(value)
    except ValueError as error:
        section.wrong(key, f"cannot split into words: {str(error).lower()}")
        return None


def _built(section: Section, around: Surroundings) -> tuple[str | None, Image]:
    """Return the folder that the image is built from, and the program in its Dockerfile."""
    build = section.data.get("build")
    if build is None:
        return None, Image()
    if isinstance(build, str):
        build = {"context": build}
    if not isinstance(build, dict):
        section.wrong("build", "cannot use this value: it must be text or a mapping")
        return None, Image()
    inner = Section(section.report, section.path("build"), build)
    context = inner.text("context") or "."
    text, target = inner.text("dockerfile_inline"), inner.text("target")
    file = f"{context}/{inner.text('dockerfile') or 'Dockerfile'}"
    text = text if text is not None else around.read(file)
    return context, dockerfile.read(text, target) if text is not None else Image()
