"""The command line by which a person reads a log: of every manager and namespace."""

from __future__ import annotations

from omnitron.systemd.journal_command import journal_command

UNIT = "omnitron-dev-web-main.service"


def test_of_the_system() -> None:
    assert journal_command(UNIT) == f"journalctl -e -u {UNIT}"


def test_of_a_namespace_with_what_the_manager_says() -> None:
    assert journal_command(UNIT, namespace="omnitron-dev") == f"journalctl --namespace=+omnitron-dev -e -u {UNIT}"


def test_a_user_has_no_namespace() -> None:
    assert journal_command(UNIT, is_user=True, namespace="omnitron-dev") == f"journalctl --user -e -u {UNIT}"
