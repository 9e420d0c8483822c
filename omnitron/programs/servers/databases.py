"""Creates the roles, databases and extensions of a PostgreSQL server. Standard library only.

Existing ones are not changed, except for a changed password.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from omnitron.policy.server_specs import DatabaseSpec

SUPERUSER = "postgres"
ITERATIONS = 4096
"""Iterations of SCRAM: the default of the server."""
OPTIONS = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER)
"""Options of psql for output that a program reads."""


class SqlError(Exception):
    """A statement that the server refuses, with the server's message."""


def provision(run: Callable[[str, str], str], databases: Iterable[DatabaseSpec], passwords: Mapping[str, str]) -> int:
    """Make what is not there; return the number of changes.

    `run` sends SQL to a database and returns the answer, or raises SqlError; `passwords` are those of the
    owners of `databases`.
    """
    rows = run("postgres", "SELECT rolname || E'\\t' || coalesce(rolpassword, '') FROM pg_authid;")
    roles = dict(line.split("\t", 1) for line in rows.split("\n") if "\t" in line)
    there = set(run("postgres", "SELECT datname FROM pg_database;").split("\n"))
    changes = []
    for role, password in passwords.items():
        if role not in roles:
            changes.append(f"CREATE ROLE {_identifier(role)} LOGIN PASSWORD {quoted(verifier(password))};")
        elif not is_verified(roles[role], password):
            changes.append(f"ALTER ROLE {_identifier(role)} LOGIN PASSWORD {quoted(verifier(password))};")
    for database in databases:
        if database.name not in there:
            name, owner = _identifier(database.name), _identifier(database.owner)
            changes.append(f"CREATE DATABASE {name} OWNER {owner};")
            changes.append(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;")
    if changes:
        run("postgres", "\n".join(changes))
    for database in databases:
        for name in database.extensions:
            made = f"SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS {_identifier(name)};"
            try:
                run(database.name, made)
            except SqlError as error:
                # One app's mistake is no reason to keep the database from all others.
                print(f"{error}: the extension {name} is missing in {database.name}", file=sys.stderr)
    return len(changes)


def answer(database: str, status: int, output: str, errors: str) -> str:
    """Return the output of psql; SqlError with its error message if it failed."""
    if status:
        lines = errors.strip().splitlines()
        why = [line for line in lines if "ERROR" in line or "FATAL" in line] or lines or ["psql failed"]
        raise SqlError(f"cannot provision {database}: {why[0]}")
    return output


def summary(changes: int) -> str:
    """Return the line for the log."""
    return "provisioned: " + (f"{changes} changes" if changes else "nothing to do")


def quoted(text: str) -> str:
    """Return a string literal for SQL and for the configuration file."""
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def verifier(password: str, salt: bytes | None = None) -> str:
    """Return the SCRAM verifier of a password (RFC 5803): the server and its log never get the password itself."""
    # 7 ms, and a server that needs no password does without.
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


def is_verified(stored: str, password: str) -> bool:
    """Return whether `stored` is a verifier of `password`."""
    import base64

    scheme, _, rest = stored.partition(f"${ITERATIONS}:")
    salt = rest.partition("$")[0]
    return scheme == "SCRAM-SHA-256" and verifier(password, base64.b64decode(salt)) == stored
