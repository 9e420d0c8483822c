"""PostgreSQL as a service: `python -I -S postgres.py run|provision SETTINGS`, `… probe PORT`.

`run` makes the cluster if there is none and becomes the server; `provision` makes roles, databases and
extensions, and changes nothing that is there already; `probe` asks a running server for a session.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACES = ("/usr/lib/postgresql",)
SUPERUSER = "postgres"
PASSWORDS = "passwords.json"
IDENT_MAP = "omnitron"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""Answered with one byte by every version, by a process that the server forked for it."""
ITERATIONS = 4096
"""Of SCRAM, as the server counts them."""


def main(arguments: list[str]) -> int:
    """Run the verb on the command line."""
    from omnitron.infra.native.running import run

    return run({"run": serve, "provision": provision, "probe": probe}, arguments)


def serve(arguments: list[str]) -> None:
    """Become the server."""
    from omnitron.infra.native.running import folder, settings

    told = settings(arguments[0])
    data, runtime = os.path.join(folder("STATE_DIRECTORY"), "data"), folder("RUNTIME_DIRECTORY")  # noqa: PTH118
    programs = _programs(data)
    if not os.path.exists(f"{data}/PG_VERSION"):  # noqa: PTH110 - pathlib is slow to import
        _make(programs, data)
    _configure(told, runtime)
    _hand_over(told, runtime)
    server = f"{programs}/postgres"
    os.execv(server, [server, "-D", data, "-c", f"config_file={runtime}/postgresql.conf"])


def _programs(data: str) -> str:
    """Return the folder of the programs that fit the data; the newest ones when there is none yet."""
    from omnitron.infra.native.running import CannotError

    found = {
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
        if not found:
            raise CannotError("cannot run PostgreSQL: it is not installed: apt install postgresql") from None
        version = max(found, key=int)
    if version not in found:
        raise CannotError(
            f"cannot run PostgreSQL: {data} is of version {version}, which is not installed: "
            f"apt install postgresql-{version}, or move the data to a newer version with pg_upgrade"
        )
    return found[version]


def _make(programs: str, data: str) -> None:
    """Make a cluster, aside first: one that was half made when the host went down is made anew."""
    import shutil
    import subprocess

    from omnitron.infra.native.running import CannotError

    aside = f"{data}.new"
    shutil.rmtree(aside, ignore_errors=True)
    argv = [f"{programs}/initdb", "--pgdata", aside, "--username", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run([*argv, "--auth=reject", "--no-instructions"], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise CannotError(f"cannot make the database cluster {data}: initdb ended with {done.returncode}")
    os.rename(aside, data)  # noqa: PTH104


def _configure(told: dict[str, Any], runtime: str) -> None:
    import pwd

    from omnitron.infra.native.running import write

    account = pwd.getpwuid(os.geteuid()).pw_name
    own = {
        "listen_addresses": told["address"],
        "port": told["port"],
        "unix_socket_directories": runtime,
        "unix_socket_permissions": "0700",
        "hba_file": f"{runtime}/pg_hba.conf",
        "ident_file": f"{runtime}/pg_ident.conf",
        "password_encryption": "scram-sha-256",
        "logging_collector": "off",
        "log_line_prefix": "[%p] ",
    }
    lines = [f"{name} = {quoted(str(value))}" for name, value in {**told["config"], **own}.items()]
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


def _hand_over(told: dict[str, Any], runtime: str) -> None:
    """Leave the roles' passwords to `provision`: before systemd 254 it could not read credentials itself."""
    from omnitron.infra.native.running import write
    from omnitron.secrets.credentials import read

    passwords = {one["owner"]: read(one["credential"]) for one in told["databases"] if one["credential"]}
    write(f"{runtime}/{PASSWORDS}", [json.dumps(passwords)])


def _handed_over(runtime: str) -> dict[str, str]:
    path = f"{runtime}/{PASSWORDS}"
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        found: dict[str, str] = json.load(file)
    os.unlink(path)  # noqa: PTH108
    return found


def quoted(text: str) -> str:
    """Return a string literal, of SQL as of the configuration file."""
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def provision(arguments: list[str]) -> None:
    """Make what is not there: roles with their passwords, databases, extensions."""
    from omnitron.infra.native.running import CannotError, folder, settings

    told, runtime = settings(arguments[0]), folder("RUNTIME_DIRECTORY")
    programs = _programs(os.path.join(folder("STATE_DIRECTORY"), "data"))  # noqa: PTH118
    server = [f"{programs}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", runtime]
    server += ["-p", str(told["port"]), "-U", SUPERUSER]
    known = _sql(server, "postgres", "SELECT rolname || E'\\t' || coalesce(rolpassword, '') FROM pg_authid;")
    roles = dict(line.split("\t", 1) for line in known.split("\n") if "\t" in line)
    databases = set(_sql(server, "postgres", "SELECT datname FROM pg_database;").split("\n"))
    changes = []
    for role, password in _handed_over(runtime).items():
        if role not in roles:
            changes.append(f"CREATE ROLE {_identifier(role)} LOGIN PASSWORD {quoted(verifier(password))};")
        elif not is_verified(roles[role], password):
            changes.append(f"ALTER ROLE {_identifier(role)} LOGIN PASSWORD {quoted(verifier(password))};")
    for one in told["databases"]:
        if one["name"] not in databases:
            name, owner = _identifier(one["name"]), _identifier(one["owner"])
            changes.append(f"CREATE DATABASE {name} OWNER {owner};")
            changes.append(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;")
    if changes:
        _sql(server, "postgres", "\n".join(changes))
    for one in told["databases"]:
        for name in one["extensions"]:
            made = f"SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS {_identifier(name)};"
            try:
                _sql(server, one["name"], made)
            except CannotError as error:
                # One app's mistake is no reason to keep the database from all others.
                print(f"{error}: the extension {name} is missing in {one['name']}", file=sys.stderr)
    print("provisioned: " + (f"{len(changes)} changes" if changes else "nothing to do"))


def _sql(server: list[str], database: str, text: str) -> str:
    """Run SQL, given on stdin: an argument would be for everybody to see."""
    import subprocess

    from omnitron.infra.native.running import CannotError

    done = subprocess.run([*server, "-d", database, "-f", "-"], input=text, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        why = [line for line in lines if "ERROR" in line or "FATAL" in line] or lines or ["psql failed"]
        raise CannotError(f"cannot provision {database}: {why[0]}")
    return done.stdout


def verifier(password: str, salt: bytes | None = None) -> str:
    """Return what the server keeps of a password (RFC 5803): the password itself never gets to it, nor to its log."""
    import base64
    import hashlib
    import hmac

    if not password.isascii():
        import unicodedata

        password = unicodedata.normalize("NFKC", password)  # as clients do (RFC 4013)
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    parts = (hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    stored, key = (base64.b64encode(part).decode() for part in parts)
    return f"SCRAM-SHA-256${ITERATIONS}:{base64.b64encode(salt).decode()}${stored}:{key}"


def is_verified(kept: str, password: str) -> bool:
    """Whether `kept`, a verifier, is one of `password`."""
    import base64

    scheme, _, rest = kept.partition(f"${ITERATIONS}:")
    salt = rest.partition("$")[0]
    return scheme == "SCRAM-SHA-256" and verifier(password, base64.b64decode(salt)) == kept


def probe(arguments: list[str]) -> None:
    """Ask for a session."""
    from omnitron.infra.native.running import CannotError, ask

    if ask(int(arguments[0]), SSL_REQUEST, 1) not in (b"N", b"S"):
        raise CannotError("no answer of a PostgreSQL server")


if __name__ == "__main__":
    here = __file__.rpartition("/")[0]
    # A user could not remove root's bytecode from their checkout.
    sys.dont_write_bytecode = os.stat(here).st_uid != os.geteuid()  # noqa: PTH116 - pathlib is slow to import
    sys.path.append(here + "/../../..")
    sys.exit(main(sys.argv[1:]))
