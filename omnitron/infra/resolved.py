"""The infrastructure of a stack as it will be: who runs each service, on which ports, and what apps are told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from omnitron.definition.infrastructure import Secret, SecretRef
from omnitron.definition.loader import Ecosystem
from omnitron.errors import Problem
from omnitron.infra import ports, redis_numbers
from omnitron.infra.needs import Needs
from omnitron.infra.providers import NoProviderError, Provider, choose
from omnitron.infra.services import Service, Wanted, wanted
from omnitron.secrets import references

LOCAL = "127.0.0.1"
PLACEHOLDER = re.compile(r"\$\{(host|port:([^}]*)|secret:([^}|]*)((?:\|url)?))\}")

LONGEST_NAME = 63
"""Bytes of a role or database; PostgreSQL cuts off the rest."""
MAIN = "main"
"""The app that is told where the gateway's maintenance mode is kept."""
SUPERUSER = "postgres"
VARIABLES = {"redis": "REDIS_URL", "maintenance": "GATEWAY_REDIS_URL"}
JWT_SECRET = "infra-jwt"
"""The key that the apps of a stack share."""


@dataclass(frozen=True)
class Placed:
    """A service, and where it is."""

    service: Service
    provider: Provider
    host: str
    ports: Mapping[str, int]

    @property
    def name(self) -> str:
        """Its name."""
        return self.service.name

    @property
    def port(self) -> int:
        """Its first port; 0 when it has none."""
        return next(iter(self.ports.values()), 0)

    @property
    def is_waited_for(self) -> bool:
        """Whether apps start only when it is healthy."""
        return self.service.requirement.critical and self.provider.name != "external"

    @property
    def is_ours(self) -> bool:
        """Whether a unit of the stack runs it."""
        return self.provider.name in ("native", "docker")


@dataclass(frozen=True)
class DatabaseToMake:
    """A database on a server of ours."""

    name: str
    owner: str
    """Role that owns it."""
    credential: str
    """Secret that is the role's password."""
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Infra:
    """All that a stack has beside its apps."""

    services: tuple[Placed, ...] = ()
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Variables by app; their values refer to secrets."""
    generated: Mapping[str, str | None] = field(default_factory=dict)
    """Secrets that are made when they are not there: None for a random one, else what the definition says."""
    needs: Mapping[str, Needs] = field(default_factory=dict)
    numbers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Redis databases by app and purpose."""
    databases: Mapping[str, tuple[DatabaseToMake, ...]] = field(default_factory=dict)
    """By server of ours."""
    containers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The environment of each container, by service; values may refer to secrets."""
    passwords: Mapping[str, str] = field(default_factory=dict)
    """The secret that clients of a server of ours give as its password, by server."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def shared_redis(self) -> Placed | None:
        """The Redis server that is for the whole stack."""
        return next((one for one in self.services if one.service.kind == "redis" and not one.service.owner), None)

    def used_by(self, app: str) -> list[Placed]:
        """Return the services that an app uses."""
        return [placed for placed in self.services if app in placed.service.users]


@dataclass(frozen=True)
class GivenOut:
    """What a stack was given before, and keeps."""

    ports: Mapping[str, int] = field(default_factory=dict)
    """By `service.port`."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Redis databases, by `app/purpose`."""


def resolve(ecosystem: Ecosystem, stack: str, programs: frozenset[str] | None, before: GivenOut) -> Infra:
    """Return the infrastructure of a stack, with every problem that it has.

    `programs` are servers that the host has, `before` what was given out when it was installed last.
    """
    asked = wanted(ecosystem, stack)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    providers: dict[str, Provider] = {}
    for service in asked.services:
        try:
            provider = choose(service, programs)
        except NoProviderError as error:
            problems.append(service.source.problem(service.at, f"cannot run {service.name}: {error}", error.hint))
            continue
        if provider.name == "external" and service.requirement.health_check:
            at = (*service.at, "healthCheck")
            warnings.append(service.source.problem(at, "has no effect: nobody asks what runs elsewhere"))
        if service.kind in ("openresty", "tor") and provider.name != "docker":
            warnings.append(service.source.problem(service.at, "has no effect in this version: describe its container"))
        else:
            providers[service.name] = provider
    problems += _unsupported(asked)
    services = [service for service in asked.services if service.name in providers]
    try:
        given = _ports(ecosystem, stack, services, providers, before.ports)
    except ports.NoPortError as error:
        at = ("stacks", stack, "portRange") if ecosystem.config.stacks[stack].port_range else ("stacks", stack)
        problems.append(ecosystem.source.problem(at, f"cannot give out ports: {error}"))
        return Infra(problems=tuple(problems), warnings=tuple(warnings))
    placed = tuple(
        Placed(one, providers[one.name], one.external.host if one.external else LOCAL, given[one.name])
        for one in services
    )
    numbers: dict[tuple[str, str], int] = {}
    for one in placed:
        users = [app for app in asked.needs if asked.serving.get((app, "redis")) == one.name]
        # A server of one app's own has nobody to share the numbers with.
        first = 0 if one.service.owner else redis_numbers.first_of(stack, ecosystem.config.stacks[stack])
        is_shared = one.service.kind == "redis" and not one.service.owner
        gateway = is_shared and ecosystem.config.gateway is not None
        numbers |= redis_numbers.assign(first, asked.needs, users, gateway=gateway, before=before.numbers)
    problems += _beyond_limit(placed, numbers, asked)
    told = _Telling(stack, asked, {one.name: one for one in placed}, numbers)
    environment = {app: dict(told.variables(app)) for app in asked.needs}
    databases = {one.name: tuple(told.databases(one)) for one in placed if one.provider.name == "native"}
    containers = {one.name: dict(told.inside(one)) for one in placed if one.provider.name == "docker"}
    caches = [one for one in placed if one.service.kind == "redis"]
    passwords = {one.name: name for one in caches if (name := told.secret(one, "password"))}
    return Infra(
        placed,
        environment,
        told.generated,
        asked.needs,
        numbers,
        databases,
        containers,
        passwords,
        (*problems, *told.problems),
        tuple(warnings),
    )


def _ports(
    ecosystem: Ecosystem,
    stack: str,
    services: list[Service],
    providers: Mapping[str, Provider],
    remembered: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    ours = [service for service in services if providers[service.name].name in ("native", "docker")]
    given = ports.assign(stack, ecosystem.config.stacks[stack], ours, remembered)
    for service in services:
        elsewhere = dict(service.external.ports) if service.external else {}
        given.setdefault(service.name, elsewhere or ports.declared(service))
    return given


def _unsupported(asked: Wanted) -> Iterator[Problem]:
    for needs in asked.needs.values():
        if needs.database and needs.database.dialect != "postgres":
            at = (*needs.at, "database", "dialect")
            message = f"cannot provide a {needs.database.dialect} database: this version has postgres alone"
            yield needs.source.problem(at, message, "leave database out, and set DATABASE_URL in env")


def _beyond_limit(
    placed: tuple[Placed, ...], numbers: Mapping[tuple[str, str], int], asked: Wanted
) -> Iterator[Problem]:
    """Say which apps would use a Redis database that the server does not have; ours has as many as are used."""
    for one in placed:
        said = one.service.requirement.config.get("databases")
        if one.service.kind != "redis" or (one.provider.name == "native" and said is None):
            continue
        limit = said if isinstance(said, int) else redis_numbers.DEFAULT_LIMIT
        at_gateway = numbers.get(redis_numbers.GATEWAY)
        if at_gateway is not None and at_gateway >= limit and not one.service.owner:
            message = f"cannot keep maintenance mode in Redis database {at_gateway}: {one.name} has {limit}, from 0"
            cure = "lower stacks.*.settings.redisDbOffset, or raise databases"
            yield one.service.source.problem(one.service.at, message, cure)
        for (app, purpose), number in numbers.items():
            if asked.serving.get((app, "redis")) == one.name and number >= limit:
                needs = asked.needs[app]
                at = (*needs.at, "redis") if purpose == "redis" else (*needs.at, "services", purpose)
                message = f"cannot use Redis database {number}: {one.name} has {limit}, numbered from 0"
                yield needs.source.problem(at, message, "lower stacks.*.settings.redisDbOffset, or raise databases")


class _Telling:
    """Works out what each app is told, and which secrets have to be there for it."""

    def __init__(
        self, stack: str, asked: Wanted, placed: Mapping[str, Placed], numbers: Mapping[tuple[str, str], int]
    ) -> None:
        self.stack = stack
        self.asked = asked
        self.placed = placed
        self.numbers = numbers
        self.generated: dict[str, str | None] = {}
        self.problems: list[Problem] = []

    def variables(self, app: str) -> Iterator[tuple[str, str]]:
        serving = {kind: self.placed.get(name) for (user, kind), name in self.asked.serving.items() if user == app}
        custom = [one for one in self.placed.values() if app in one.service.users and one.service.requirement.env]
        if not any(serving.values()) and not custom:
            return
        yield "APP_NAME", app
        yield "STACK_NAME", self.stack
        self.generated[JWT_SECRET] = None
        yield "JWT_SECRET", references.to(JWT_SECRET)
        if postgres := serving.get("postgres"):
            yield from self._database(app, postgres)
        if redis := serving.get("redis"):
            yield from self._redis(app, redis)
        if minio := serving.get("minio"):
            yield from self._bucket(app, minio)
        for one in custom:
            for variable, template in one.service.requirement.env.items():
                yield variable, self._filled(one, variable, template)

    def databases(self, server: Placed) -> Iterator[DatabaseToMake]:
        """Yield the databases that a server has: those of the apps that use it, and those that it declares."""
        if server.service.kind != "postgres":
            return
        apps = [app for app in server.service.users if self.asked.serving.get((app, "postgres")) == server.name]
        for name in dict.fromkeys((*apps, *server.service.databases)):
            owner, credential = self.database_account(name, server)
            need = self.asked.needs[name].database if name in apps else None
            for what in {name, owner}:
                if len(what.encode()) > LONGEST_NAME or not what.isprintable():
                    message = f"cannot make {what!r}: a name has at most {LONGEST_NAME} bytes, and is one line"
                    self.problems.append(server.service.source.problem(server.service.at, message))
            if owner == SUPERUSER:
                message = f"cannot make the database {name}: its owner would be {SUPERUSER}, the server's own superuser"
                self.problems.append(server.service.source.problem(server.service.at, message))
            yield DatabaseToMake(name, owner, credential or "", tuple(need.extensions) if need else ())

    def _database(self, app: str, server: Placed) -> Iterator[tuple[str, str]]:
        user, password = self.database_account(app, server)
        secret = references.to(password, references.URL) if password else ""
        account = f"{user}:{secret}@" if secret else f"{user}@"
        yield "DATABASE_URL", f"postgresql://{account}{server.host}:{server.port}/{app}"
        need = self.asked.needs[app].database
        if need and need.pool:
            yield "DATABASE_POOL_MIN", str(need.pool.min)
            yield "DATABASE_POOL_MAX", str(need.pool.max)

    def database_account(self, app: str, server: Placed) -> tuple[str, str | None]:
        """Return the role of an app, and the secret that is its password."""
        if server.provider.name != "native":
            user = self._plain(server, "user") or app
            return user, self.secret(server, "password")
        database = server.service.databases.get(app)
        role = (database.user if database else None) or app
        # A role has one password, however many databases it has.
        said = [one.password for name, one in server.service.databases.items() if (one.user or name) == role]
        given = next((password for password in said if password is not None), None)
        if any(password not in (None, given) for password in said):
            at = (*server.service.at, "databases", app)
            self.problems.append(server.service.source.problem(at, f"cannot give {role} two passwords: it is one role"))
        if isinstance(given, SecretRef):
            return role, given.secret
        name = f"infra-{server.name}-{role}"
        self.generated[name] = given
        return role, name

    def _redis(self, app: str, server: Placed) -> Iterator[tuple[str, str]]:
        password = self.secret(server, "password")
        secret = f":{references.to(password, references.URL)}@" if password else ""
        need = self.asked.needs[app].redis
        for (user, purpose), number in self.numbers.items():
            if user == app or (app == MAIN and (user, purpose) == redis_numbers.GATEWAY):
                variable = VARIABLES.get(purpose) or f"{purpose.upper()}_REDIS_URL"
                yield variable, f"redis://{secret}{server.host}:{server.port}/{number}"
        if need and need.prefix:
            yield "REDIS_PREFIX", need.prefix

    def _bucket(self, app: str, server: Placed) -> Iterator[tuple[str, str]]:
        need = self.asked.needs[app].s3
        access, secret = self.secret(server, "accessKey"), self.secret(server, "secretKey")
        bucket = (need.bucket if need else None) or app
        values = {
            "ENDPOINT": f"http://{server.host}:{server.port}",
            "ACCESS_KEY": references.to(access) if access else "",
            "SECRET_KEY": references.to(secret) if secret else "",
            "BUCKET": bucket,
        }
        for name, value in values.items():
            yield f"S3_{name}", value
        yield "APP_STORAGE__BACKEND", "s3"
        renamed = {"ACCESS_KEY": "ACCESS_KEY_ID", "SECRET_KEY": "SECRET_ACCESS_KEY"}
        for name, value in values.items():
            yield f"APP_STORAGE__S3__{renamed.get(name, name)}", value
        yield "APP_STORAGE__S3__FORCE_PATH_STYLE", "true"

    def inside(self, one: Placed) -> Iterator[tuple[str, str]]:
        """Yield the environment of a container."""
        docker = one.service.requirement.docker
        for variable, template in (docker.environment if docker else {}).items():
            yield variable, self._filled(one, variable, template)

    def _plain(self, server: Placed, key: str) -> str | None:
        value = self._said(server, key)
        return value if isinstance(value, str) else None

    def _said(self, server: Placed, key: str) -> Secret | None:
        external = server.service.external
        return (external.secrets if external else {}).get(key) or server.service.requirement.secrets.get(key)

    def secret(self, server: Placed, key: str) -> str | None:
        """Return the name of the secret that the definition gives a service, or of the one that is made for it."""
        value = self._said(server, key)
        if isinstance(value, SecretRef):
            return value.secret
        if value is None and server.provider.name != "native":
            return None
        name = f"infra-{server.name}" + ("" if key == "password" else f"-{key}")
        self.generated[name] = value
        return name

    def _filled(self, one: Placed, variable: str, template: str) -> str:
        def place(match: re.Match[str]) -> str:
            what, port, secret, mark = match.groups()
            if what == "host":
                return one.host
            if port is not None:
                if port not in one.ports:
                    self._cannot(one, variable, f"it has no port {port!r}")
                return str(one.ports.get(port, 0))
            named = one.service.requirement.secrets.get(secret)
            name = secret if named is None else self.secret(one, secret) or secret
            return references.to(name, mark.removeprefix("|"))

        return PLACEHOLDER.sub(place, template)

    def _cannot(self, one: Placed, variable: str, why: str) -> None:
        at = (*one.service.at, "env", variable)
        self.problems.append(one.service.source.problem(at, f"cannot fill in {variable}: {why}"))
