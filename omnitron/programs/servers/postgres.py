"""PostgreSQL as a service: `python -I -S postgres.py run|provision SETTINGS`, `… probe PORT`.

`run` creates the cluster if there is none and becomes the server; `provision` creates missing roles, databases and
extensions; `probe` asks a running server for a session.
"""

from __future__ import annotations

import json
import os
import sys

# As a program this file stands alone until its last lines have set the path: what is omnitron's is imported later.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omnitron.policy.server_specs import PostgresSpec

PLACES = ("/usr/lib/postgresql",)
PASSWORDS = "passwords.json"
IDENT_MAP = "omnitron"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""Every version answers with one byte, from a process that it forked for the connection."""


def main(arguments: list[str]) -> int:
    """Run the verb on the command line."""
    from omnitron.programs.servers.service_folders import run

    return run({"run": serve, "provision": provision, "probe": probe}, arguments)


def serve(arguments: list[str]) -> None:
    """Become the server."""
    from omnitron.policy.server_specs import PostgresSpec
    from omnitron.programs.servers.service_folders import folder, read_spec

    spec = read_spec(arguments[0], PostgresSpec)
    data, runtime = os.path.join(folder("STATE_DIRECTORY"), "data"), folder("RUNTIME_DIRECTORY")  # noqa: PTH118
    programs = _programs(data)
    if not os.path.exists(f"{data}/PG_VERSION"):  # noqa: PTH110 - pathlib is slow to import
        _make(programs, data)
    _configure(spec, runtime)
    _hand_over(spec, runtime)
    server = f"{programs}/postgres"
    os.execv(server, [server, "-D", data, "-c", f"config_file={runtime}/postgresql.conf"])


def _programs(data: str) -> str:
    """Return the folder of the programs for the version of the data; the newest version without data."""
    from omnitron.programs.servers.service_folders import CannotError

    folders = {
        version: f"{place}/{version}/bin"
        for place in PLACES
        if os.path.isdir(place)  # noqa: PTH112
        for version in os.listdir(place)  # noqa: PTH208
        if version.isdigit() and os.access(f"{place}/{version}/bin/postgres", os.X_OK)
    }
    try:
        with open(f"{data}/PG_VERSION") as file:  # noqa: PTH123
            version = file.read().strip()
    except FileNotFoundError:
        if not folders:
            raise CannotError("cannot run PostgreSQL: it is not installed: apt install postgresql") from None
        version = max(folders, key=int)
    if version not in folders:
        raise CannotError(
            f"cannot run PostgreSQL: {data} is of version {version}, which is not installed: "
            f"apt install postgresql-{version}, or move the data to a newer version with pg_upgrade"
        )
    return folders[version]


def _make(programs: str, data: str) -> None:
    """Create a cluster under another name first, so that one that was interrupted is created again."""
    import shutil
    import subprocess

    from omnitron.programs.servers.databases import SUPERUSER
    from omnitron.programs.servers.service_folders import CannotError

    aside = f"{data}.new"
    shutil.rmtree(aside, ignore_errors=True)
    argv = [f"{programs}/initdb", "--pgdata", aside, "--username", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run([*argv, "--auth=reject", "--no-instructions"], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise CannotError(f"cannot make the database cluster {data}: initdb ended with {done.returncode}")
    os.rename(aside, data)  # noqa: PTH104


def _configure(spec: PostgresSpec, runtime: str) -> None:
    import pwd

    from omnitron.programs.servers.databases import SUPERUSER, quoted
    from omnitron.programs.servers.service_folders import write

    account = pwd.getpwuid(os.geteuid()).pw_name
    own = {
        "listen_addresses": spec.address,
        "port": spec.port,
        "unix_socket_directories": runtime,
        "unix_socket_permissions": "0700",
        "hba_file": f"{runtime}/pg_hba.conf",
        "ident_file": f"{runtime}/pg_ident.conf",
        "password_encryption": "scram-sha-256",
        "logging_collector": "off",
        "log_line_prefix": "[%p] ",
    }
    lines = [f"{name} = {quoted(str(value))}" for name, value in {**spec.config, **own}.items()]
    write(f"{runtime}/postgresql.conf", lines)
    write(f"{runtime}/pg_ident.conf", [f'{IDENT_MAP} "{account}" {SUPERUSER}'])
    hosts = ("127.0.0.1/32", "::1/128")
    write(
        f"{runtime}/pg_hba.conf",
        [
            f"local all {SUPERUSER} peer map={IDENT_MAP}",
            f"host all {SUPERUSER} all reject",
            *(f"host all all {host} scram-sha-256" for host in hosts),
        ],
    )


def _hand_over(spec: PostgresSpec, runtime: str) -> None:
    """Leave the roles' passwords to `provision`: before systemd 254 it could not read credentials itself."""
    from omnitron.programs.secrets.credentials import read
    from omnitron.programs.servers.service_folders import write

    passwords = {database.owner: read(database.credential) for database in spec.databases if database.credential}
    write(f"{runtime}/{PASSWORDS}", [json.dumps(passwords)])


def _handed_over(runtime: str) -> dict[str, str]:
    path = f"{runtime}/{PASSWORDS}"
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        passwords: dict[str, str] = json.load(file)
    os.unlink(path)  # noqa: PTH108
    return passwords


def provision(arguments: list[str]) -> None:
    """Make what is not there: roles with their passwords, databases, extensions."""
    from omnitron.policy.server_specs import PostgresSpec
    from omnitron.programs.servers import databases
    from omnitron.programs.servers.service_folders import CannotError, folder, read_spec

    spec, runtime = read_spec(arguments[0], PostgresSpec), folder("RUNTIME_DIRECTORY")
    programs = _programs(os.path.join(folder("STATE_DIRECTORY"), "data"))  # noqa: PTH118
    server = [f"{programs}/psql", *databases.OPTIONS, "-h", runtime, "-p", str(spec.port)]

    def run(database: str, text: str) -> str:
        """Run SQL from standard input: all users can read arguments."""
        import subprocess

        done = subprocess.run([*server, "-d", database, "-f", "-"], input=text, capture_output=True, text=True)
        return databases.answer(database, done.returncode, done.stdout, done.stderr)

    try:
        print(databases.summary(databases.provision(run, spec.databases, _handed_over(runtime))))
    except databases.SqlError as error:
        raise CannotError(str(error)) from error


def probe(arguments: list[str]) -> None:
    """Ask for a session."""
    from omnitron.programs.servers.service_folders import CannotError, ask

    if ask(int(arguments[0]), SSL_REQUEST, 1) not in (b"N", b"S"):
        raise CannotError("no answer of a PostgreSQL server")


if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(here).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(here + "/../../..")
    sys.exit(main(sys.argv[1:]))
