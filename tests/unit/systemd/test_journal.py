"""Entries of the journal as journalctl's JSON has them, and how it is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.systemd.journal import SPAWN_FAILED, UNIT_FAILED, Query, command, follow, parse, read, why_not_executed


def entry(**fields: Any) -> dict[str, Any]:
    return {"__REALTIME_TIMESTAMP": "1700000000000000", "__CURSOR": "c", "PRIORITY": "6", "MESSAGE": "m", **fields}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        (None, ""),
        ([27, 91, 51, 49, 109, 255], "\x1b[31m\ufffd"),
        (["first", "second"], "first\nsecond"),
        (["first", [27, 98]], "first\n\x1bb"),
        ([], ""),
    ],
)
def test_messages_of_every_form(value: Any, message: str) -> None:
    assert parse(entry(MESSAGE=value)).message == message


@pytest.mark.parametrize(
    ("priority", "level"),
    [
        ("0", "fatal"),
        ("2", "fatal"),
        ("3", "error"),
        ("4", "warn"),
        ("5", "info"),
        ("6", "info"),
        ("7", "debug"),
        (None, "info"),
        ("x", "info"),
        (["3", "6"], "info"),
    ],
)
def test_levels(priority: Any, level: str) -> None:
    assert parse(entry(PRIORITY=priority)).level == level


def test_units_of_an_app_and_of_a_line_about_it() -> None:
    assert parse(entry(_SYSTEMD_UNIT="a.service", _PID="12")).units == ("a.service",)
    about = parse(entry(_SYSTEMD_UNIT="init.scope", UNIT="a.service", _PID="1"))
    assert (about.units, about.pid) == (("init.scope", "a.service"), 1)
    assert parse(entry()).pid is None


@pytest.mark.parametrize(
    ("query", "more"),
    [
        (Query(("a.service",), False), ["--unit=a.service"]),
        (Query(("a.service", "b@*.service"), True), ["--user", "--user-unit=a.service", "--user-unit=b@*.service"]),
        (Query(("a",), False, namespaces=("x",)), ["--unit=a", "--namespace=+x"]),
        (Query(("a",), False, namespaces=("x", "y")), ["--unit=a", "--namespace=*"]),
        (Query(("a",), False, level="warn"), ["--unit=a", "--priority=4"]),
        (Query(("a",), False, level="trace"), ["--unit=a", "--priority=7"]),
        (Query(("a",), False, grep="-x"), ["--unit=a", "--grep=-x"]),
        (Query(("a",), False, since="1h ago"), ["--unit=a", "--since=1h ago"]),
        (Query((), False, matches=("UNIT=a",)), ["UNIT=a"]),
    ],
)
def test_the_command_line(query: Query, more: list[str]) -> None:
    assert command(query)[5:] == more


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program of that name: it writes down its arguments and does what the test says."""

    def make(script: str) -> Path:
        path = tmp_path / "journalctl"
        path.write_text(f"#!/usr/bin/python3\nimport sys\nopen({str(tmp_path / 'log')!r}, 'a').write(")
        with path.open("a") as file:
            file.write(f"' '.join(sys.argv[1:]) + '\\n')\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "log"

    return make


ONE = """print('{"__REALTIME_TIMESTAMP": "%s", "__CURSOR": "c%s", "MESSAGE": "%s"}')"""


def test_the_latest_are_asked_for_backwards_and_given_forwards(journalctl: Any) -> None:
    log = journalctl("\n".join(ONE % (n, n, f"m{n}") for n in (3, 2, 1)))
    assert [one.message for one in read(Query(("a",), False, lines=3))] == ["m1", "m2", "m3"]
    assert log.read_text().endswith("--reverse --lines=3\n")


def test_all_are_given_as_they_come(journalctl: Any) -> None:
    log = journalctl(ONE % (1, 1, "m"))
    assert [one.message for one in read(Query(("a",), False))] == ["m"]
    assert "--reverse" not in log.read_text()


def test_no_lines_ask_nothing(journalctl: Any) -> None:
    log = journalctl("")
    assert list(read(Query(("a",), False, lines=0))) == []
    assert not log.exists()


def test_following_goes_on_after_the_last_that_was_shown(journalctl: Any) -> None:
    log = journalctl(ONE % (1, 1, "m"))
    assert len(list(follow(Query(("a",), False, lines=5, since="today")))) == 2
    history, tail = log.read_text().splitlines()
    assert "--since=today" in history
    assert tail.endswith("--follow --no-tail --after-cursor=c1")
    assert "--since" not in tail


def test_following_an_empty_journal_misses_nothing(journalctl: Any) -> None:
    log = journalctl("")
    assert list(follow(Query(("a",), False, lines=0))) == []
    assert "--follow --no-tail --since=@" in log.read_text()


@pytest.mark.parametrize(
    ("said", "kind", "brief"),
    [
        ("Failed to parse timestamp: gaga", UsageError, "cannot read the journal: failed to parse timestamp: gaga"),
        ('Bad pattern "(": no', UsageError, 'cannot read the journal: bad pattern "(": no'),
        ("No journal files were opened due to insufficient permissions.", NotPermittedError, "permission denied"),
        ("Something broke.", OmnitronError, "cannot read the journal: something broke"),
    ],
)
def test_what_journalctl_refuses(journalctl: Any, said: str, kind: type[OmnitronError], brief: str) -> None:
    journalctl(f"sys.exit({said!r})")
    with pytest.raises(kind) as caught:
        list(read(Query(("a",), False, since="gaga", grep="(")))
    assert brief in caught.value.brief


def test_no_match_is_no_error(journalctl: Any) -> None:
    journalctl("sys.exit('-- No entries --')")
    assert list(read(Query(("a",), False, grep="x"))) == []


def test_a_reader_that_leaves_ends_journalctl(journalctl: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    more = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))"
    journalctl(f"{more}\n{ONE % (1, 1, 'm')}\nsys.stdout.flush()\ntime.sleep(100)")
    entries = read(Query(("a",), False))
    next(entries)
    entries.close()  # type: ignore[attr-defined] # a generator
    assert not Path(f"/proc/{pid.read_text()}").exists()


def own(text: str, message_id: str = "", unit: str = "u.service") -> str:
    fields = entry(MESSAGE=f"u.service: {text}", MESSAGE_ID=message_id, _SYSTEMD_UNIT=unit, UNIT="u.service")
    return f"print({json.dumps(json.dumps(fields))})"


def test_why_a_program_was_not_executed(journalctl: Any) -> None:
    journalctl(
        "\n".join(
            [
                own("Failed to set up mount namespacing: /x: No such file or directory"),
                own("Failed at step NAMESPACE spawning id", SPAWN_FAILED),
                own("Failed with result 'exit-code'.", UNIT_FAILED, "init.scope"),
            ]
        )
    )
    words = why_not_executed("u.service", is_user=False)
    assert words == "Failed to set up mount namespacing: /x: No such file or directory"


def test_a_program_that_was_executed(journalctl: Any) -> None:
    journalctl(own("Failed with result 'exit-code'.", UNIT_FAILED, "init.scope"))
    assert why_not_executed("u.service", is_user=False) == ""


def test_a_journal_that_cannot_tell(journalctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnitron.systemd.journal.SETTLE_S", 0.1)
    journalctl("")
    assert why_not_executed("u.service", is_user=False) is None
    journalctl("sys.exit('No journal files were opened due to insufficient permissions.')")
    assert why_not_executed("u.service", is_user=False) is None
