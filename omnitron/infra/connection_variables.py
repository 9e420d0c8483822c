"""Connection variables of apps and containers for the services of a stack, and the secrets that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from omnitron.definition.infrastructure import Secret, SecretRef
from omnitron.definition.source import KeyPath, Source
from omnitron.errors import Problem
from omnitron.infra import redis_numbers, server_settings
from omnitron.infra.placement import ServicePlacement
from omnitron.infra.services import KINDS_OF_NEEDS, StackServices
from omnitron.names import INFRA_PREFIX
from omnitron.policy.server_specs import BucketSpec, DatabaseSpec
from omnitron.programs.servers import databases
from omnitron.programs.servers.redis import quoted
from omnitron.secrets import references

PLACEHOLDER = re.compile(r"\$\{(host|port:([^}]*)|secret:([^}|]*)((?:\|url)?))\}")
LONGEST_NAME = 63
"""Bytes of a role or database; PostgreSQL cuts off the rest."""
MAIN = "main"
"""The app that is told where the gateway's maintenance mode is kept."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
VARIABLES = {"redis": "REDIS_URL", "maintenance": "GATEWAY_REDIS_URL"}
JWT_SECRET = f"{INFRA_PREFIX}jwt"
"""The key that the apps of a stack share."""


class ConnectionVariables:
    """Works out what each app is told, and which secrets have to be there for it."""

    def __init__(
        self,
        stack: str,
        stack_services: StackServices,
        placement: Mapping[str, ServicePlacement],
        numbers: Mapping[tuple[str, str], int],
        redis_databases: Mapping[str, int],
    ) -> None:
        self.stack = stack
        self.stack_services = stack_services
        self.placement = placement
        self.numbers = numbers
        self.redis_databases = redis_databases
        self.generated: dict[str, str | None] = {}
        self.problems: list[Problem] = []
        self._owners: dict[str, str] = {}

    def variables(self, app: str) -> Iterator[tuple[str, str]]:
        """Yield what an app is told."""
        serving = {
            kind: self.placement.get(name) for (user, kind), name in self.stack_services.serving.items() if user == app
        }
        custom = [
            item for item in self.placement.values() if app in item.service.users and item.service.requirement.env
        ]
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
        for item in custom:
            for variable, template in item.service.requirement.env.items():
                yield variable, self._filled(item, variable, template)

    def databases(self, server: ServicePlacement) -> Iterator[DatabaseSpec]:
        """Yield the databases that a server has: those of the apps that use it, and those that it declares."""
        apps = [
            app for app in server.service.users if self.stack_services.serving.get((app, "postgres")) == server.name
        ]
        for name in dict.fromkeys((*apps, *server.service.databases)):
            owner, credential = self.database_account(name, server)
            need = self.stack_services.needs[name].database if name in apps else None
            for what in {name, owner}:
                if len(what.encode()) > LONGEST_NAME or not what.isprintable():
                    message = f"cannot make {what!r}: a name has at most {LONGEST_NAME} bytes, and is one line"
                    self.problems.append(server.service.source.problem(server.service.at, message))
            if owner == databases.SUPERUSER:
                message = f"cannot make the database {name}: its owner would be {owner}, the server's own superuser"
                self.problems.append(server.service.source.problem(server.service.at, message))
            yield DatabaseSpec(name, owner, credential or "", tuple(need.extensions) if need else ())

    def _database(self, app: str, server: ServicePlacement) -> Iterator[tuple[str, str]]:
        user, password = self.database_account(app, server)
        secret = references.to(password, references.URL) if password else ""
        account = f"{user}:{secret}@" if secret else f"{user}@"
        yield "DATABASE_URL", f"postgresql://{account}{server.host}:{server.port}/{app}"
        need = self.stack_services.needs[app].database
        if need and need.pool:
            yield "DATABASE_POOL_MIN", str(need.pool.min)
            yield "DATABASE_POOL_MAX", str(need.pool.max)

    def database_account(self, app: str, server: ServicePlacement) -> tuple[str, str | None]:
        """Return the role of an app, and the secret that is its password."""
        if not server.is_ours:
            user = self._plain(server, "user") or app
            return user, self.secret(server, "password")
        database = server.service.databases.get(app)
        role = (database.user if database else None) or app
        # A role has one password, however many databases it has.
        passwords = [item.password for name, item in server.service.databases.items() if (item.user or name) == role]
        declared_password = next((password for password in passwords if password is not None), None)
        if any(password not in (None, declared_password) for password in passwords):
            at = (*server.service.at, "databases", app)
            self.problems.append(server.service.source.problem(at, f"cannot give {role} two passwords: it is one role"))
        if isinstance(declared_password, SecretRef):
            return role, declared_password.secret
        name = f"{INFRA_PREFIX}{server.name}-{role}"
        self._claim(server, name, f"the role {role} of {server.name}")
        self.generated[name] = declared_password
        return role, name

    def _redis(self, app: str, server: ServicePlacement) -> Iterator[tuple[str, str]]:
        password = self.secret(server, "password")
        secret = f":{references.to(password, references.URL)}@" if password else ""
        need = self.stack_services.needs[app].redis
        for (user, purpose), number in self.numbers.items():
            if user == app or (app == MAIN and (user, purpose) == redis_numbers.GATEWAY):
                variable = VARIABLES.get(purpose) or f"{purpose.upper()}_REDIS_URL"
                yield variable, f"redis://{secret}{server.host}:{server.port}/{number}"
        if need and need.prefix:
            yield "REDIS_PREFIX", need.prefix

    def _bucket(self, app: str, server: ServicePlacement) -> Iterator[tuple[str, str]]:
        access, secret = self.secret(server, "accessKey"), self.secret(server, "secretKey")
        values = {
            "ENDPOINT": f"http://{server.host}:{server.port}",
            "ACCESS_KEY": references.to(access) if access else "",
            "SECRET_KEY": references.to(secret) if secret else "",
            "BUCKET": self._bucket_of(app).name,
        }
        for name, value in values.items():
            yield f"S3_{name}", value
        yield "APP_STORAGE__BACKEND", "s3"
        renamed = {"ACCESS_KEY": "ACCESS_KEY_ID", "SECRET_KEY": "SECRET_ACCESS_KEY"}
        for name, value in values.items():
            yield f"APP_STORAGE__S3__{renamed.get(name, name)}", value
        yield "APP_STORAGE__S3__FORCE_PATH_STYLE", "true"

    def _bucket_of(self, app: str) -> BucketSpec:
        need = self.stack_services.needs[app].s3
        return BucketSpec((need.bucket if need else None) or app, need.quota if need else None)

    def buckets(self, server: ServicePlacement) -> Iterator[BucketSpec]:
        """Yield the buckets that a server has: those of the apps that use it, and those that it declares."""
        apps = [app for app in server.service.users if self.stack_services.serving.get((app, "minio")) == server.name]
        bucket_specs: dict[str, tuple[BucketSpec, Source, KeyPath]] = {}
        for app in apps:
            needs = self.stack_services.needs[app]
            for bucket in (self._bucket_of(app), *(BucketSpec(name, None) for name in needs.buckets)):
                bucket_specs.setdefault(bucket.name, (bucket, *needs.place("s3")))
        for name in server.service.buckets:
            bucket_specs.setdefault(name, (BucketSpec(name, None), server.service.source, server.service.at))
        for bucket, source, at in bucket_specs.values():
            if not BUCKET.fullmatch(bucket.name):
                message = f"cannot make the bucket {bucket.name!r}: a name has 3 to 63 of a-z, 0-9, . and -"
                self.problems.append(source.problem(at, message, "name it: s3: {bucket: …}"))
            yield bucket

    def inside(self, item: ServicePlacement) -> Iterator[tuple[str, str]]:
        """Yield the environment of a container."""
        docker = item.service.requirement.docker
        if item.service.kind == "redis":
            settings = {**server_settings.settings_of(item.service), "databases": str(self.redis_databases[item.name])}
            yield "REDIS_SETTINGS", "\n".join(f"{name} {quoted(value)}" for name, value in settings.items())
        for variable, template in (docker.environment if docker else {}).items():
            yield variable, self._filled(item, variable, template)

    def _plain(self, server: ServicePlacement, key: str) -> str | None:
        value = self._declared(server, key)
        return value if isinstance(value, str) else None

    def _declared(self, server: ServicePlacement, key: str) -> Secret | None:
        external = server.service.external
        return (external.secrets if external else {}).get(key) or server.service.requirement.secrets.get(key)

    def secret(self, server: ServicePlacement, key: str) -> str | None:
        """Return the name of the secret that the definition gives a service, or of the one that is made for it."""
        value = self._declared(server, key)
        if isinstance(value, SecretRef):
            return value.secret
        if value is None and not (server.is_ours and server.service.kind in KINDS_OF_NEEDS):
            return None
        name = f"{INFRA_PREFIX}{server.name}" + ("" if key == "password" else f"-{key}")
        self._claim(server, name, f"{server.name} itself")
        self.generated[name] = value
        return name

    def _claim(self, server: ServicePlacement, name: str, owner: str) -> None:
        """Refuse one secret for two: who has the one would have the other."""
        other = self._owners.setdefault(name, owner)
        if other != owner:
            message = f"cannot keep its password: the secret {name} would be that of {owner}, and of {other}"
            self.problems.append(server.service.source.problem(server.service.at, message, "rename the service"))

    def _filled(self, item: ServicePlacement, variable: str, template: str) -> str:
        def place(match: re.Match[str]) -> str:
            what, port, secret, mark = match.groups()
            if what == "host":
                return item.host
            if port is not None:
                if port not in item.ports:
                    self._cannot(item, variable, f"it has no port {port!r}")
                return str(item.ports.get(port, 0))
            name = self.secret(item, secret) or secret
            return references.to(name, mark.removeprefix("|"))

        return PLACEHOLDER.sub(place, template)

    def _cannot(self, item: ServicePlacement, variable: str, why: str) -> None:
        at = (*item.service.at, "env", variable)
        self.problems.append(item.service.source.problem(at, f"cannot fill in {variable}: {why}"))
