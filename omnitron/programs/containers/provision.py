"""Creates the databases or buckets of a server in a container, with the clients of its own image."""

from __future__ import annotations

from omnitron.policy.server_specs import BucketSpec, ContainerSpec, DatabaseSpec
from omnitron.programs.containers.engine import CannotError, Container
from omnitron.programs.secrets import credentials
from omnitron.programs.servers import databases

# Neither SQL nor passwords are arguments: all users can read command lines.
SQL = 'printf %s "$OMNITRON_SQL" | exec psql "$@" -f -'
LOG_IN = (
    """printf '%s\\n' "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" | """
    "mc --quiet alias set omnitron http://127.0.0.1:9000"
)


def provision(container: Container, spec: ContainerSpec) -> str | None:
    """Make databases or buckets that are not there; return what was done, None where nothing is to be made.

    Raises CannotError, MissingError.
    """
    if spec.databases:
        return _databases(container, spec.databases)
    if spec.buckets:
        return _buckets(container, spec.buckets)
    return None


def _databases(container: Container, required: tuple[DatabaseSpec, ...]) -> str:
    def run(database: str, text: str) -> str:
        argv = ["sh", "-c", SQL, "sql", *databases.OPTIONS, "-d", database]
        return databases.answer(database, *container.execute(argv, {"OMNITRON_SQL": text}))

    passwords = {database.owner: credentials.read(database.credential) for database in required if database.credential}
    try:
        return databases.summary(databases.provision(run, required, passwords))
    except databases.SqlError as error:
        raise CannotError(str(error)) from error


def _buckets(container: Container, required: tuple[BucketSpec, ...]) -> str:
    def run(doing: str, *argv: str) -> None:
        status, output, errors = container.execute(list(argv), {})
        if status:
            lines = (errors or output).strip().splitlines() or [f"mc ended with {status}"]
            raise CannotError(f"cannot {doing}: {lines[-1]}")

    run("log in to the S3 server", "sh", "-c", LOG_IN)
    for bucket in required:
        place = f"omnitron/{bucket.name}"
        run(f"make the bucket {bucket.name}", "mc", "--quiet", "mb", "--ignore-existing", place)
        if bucket.quota:
            size = f"{bucket.quota}B"
            run(f"limit the bucket {bucket.name}", "mc", "--quiet", "quota", "set", place, "--size", size)
    return f"provisioned: {', '.join(bucket.name for bucket in required)}"
