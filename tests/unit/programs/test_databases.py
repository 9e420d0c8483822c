"""What a PostgreSQL server is made to have; nothing that is there is changed, but for another password."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omnitron.policy.server_specs import DatabaseSpec
from omnitron.programs.servers.databases import SqlError, answer, is_verified, provision, quoted, verifier

SALT = bytes(range(16))
API = DatabaseSpec("api", "o", "infra-o", ("citext",))


def server(roles: dict[str, str], databases: list[str], sent: list[str]) -> Callable[[str, str], str]:
    """A server that has `roles` and `databases`; what else it is sent goes to `sent`."""
    answers = {
        "pg_authid": "\n".join(f"{name}\t{kept}" for name, kept in roles.items()),
        "pg_database": "\n".join(databases),
    }

    def run(database: str, text: str) -> str:
        for table, rows in answers.items():
            if table in text:
                return rows
        sent.append(text)
        return ""

    return run


def test_a_verifier_is_of_its_password_alone() -> None:
    kept = verifier("pä$$wörd", SALT)
    assert kept.startswith("SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$")
    assert is_verified(kept, "pä$$wörd") and not is_verified(kept, "other")
    assert not is_verified("", "other") and not is_verified("md5abc", "other")


def test_what_is_missing_is_made_and_quoted() -> None:
    sent: list[str] = []
    made = DatabaseSpec('a"b', "o'c", "infra-o", ())
    assert provision(server({}, ["postgres"], sent), [made], {"o'c": "secret"}) == 3
    (text,) = sent
    assert 'CREATE ROLE "o\'c" LOGIN PASSWORD' in text and 'CREATE DATABASE "a""b" OWNER "o\'c";' in text
    assert "secret" not in text
    assert quoted("it's") == "'it''s'"


def test_what_is_there_stays_but_for_a_new_password() -> None:
    sent: list[str] = []
    run = server({"o": verifier("old")}, ["api"], sent)
    assert provision(run, [API], {"o": "old"}) == 0
    assert provision(run, [API], {"o": "new"}) == 1
    assert sum("ALTER ROLE" in text for text in sent) == 1
    assert sum("CREATE EXTENSION IF NOT EXISTS" in text for text in sent) == 2


def test_an_error_is_in_the_servers_words() -> None:
    assert answer("api", 0, "1", "") == "1"
    with pytest.raises(SqlError, match="cannot provision api: ERROR: no"):
        answer("api", 3, "", "NOTICE: x\nERROR: no\n")
