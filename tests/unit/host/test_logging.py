from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnitron.host.telemetry import logging as logs
from omnitron.host.telemetry.logging import JournalHandler

ROOT = Path(__file__).parents[3]
ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

Entry = dict[str, str]


class Journal:
    """The end of the journal's socket that journald has."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)

    def entries(self) -> list[Entry]:
        return [parse(data) for data, _ in self.datagrams()]

    def entry(self) -> Entry:
        (entry,) = self.entries()
        return entry

    def datagrams(self) -> Iterator[tuple[bytes, bool]]:
        """What has arrived, and whether it came in a file."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
            except BlockingIOError:
                return
            yield (content(descriptors[0]) if descriptors else data), bool(descriptors)


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == ALL_SEALS
        assert str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("/memfd:")
        file.seek(0)
        return file.read()


def parse(data: bytes) -> Entry:
    """An entry, by https://systemd.io/JOURNAL_NATIVE_PROTOCOL/; each field must be there once."""
    entry: Entry = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, end, rest = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert (len(value), end) == (size, b"\n")
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        assert name.decode() not in entry, name
        entry[name.decode()], data = value.decode(), rest
    return entry


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "socket")
    yield journal
    journal.socket.close()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Puts the root logger and the names of levels back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.addLevelName(logging.CRITICAL, "CRITICAL")
    logging.addLevelName(logs.TRACE, "Level 5")


@contextmanager
def logger_to(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.Logger("app.users", level=1)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def test_a_record_is_an_entry(journal: Journal) -> None:
    with logger_to(JournalHandler("api", {"OMNITRON_APP": "api"}, journal.path)) as logger:
        logger.info("%s took %d ms", "users.get", 12, extra={"trace_id": "4bf92f", "user-id": 5, "path": "a\nb"})
    entry = journal.entry()
    assert int(entry.pop("CODE_LINE")) > 100
    assert entry == {
        "MESSAGE": "users.get took 12 ms",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "api",
        "OMNITRON_APP": "api",
        "LOGGER": "app.users",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_a_record_is_an_entry",
        "TRACE_ID": "4bf92f",
        "USER_ID": "5",
        "PATH": "a\nb",
    }


def test_both_forms_of_a_field(journal: Journal) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.info("a=b", extra={"lines": "a\n\nb=c\n"})
    ((data, in_file),) = journal.datagrams()
    assert data.startswith(b"MESSAGE=a=b\nPRIORITY=6\nLOGGER=app.users\nCODE_FILE=/")
    assert data.endswith(b"\nLINES\n\x07\0\0\0\0\0\0\0a\n\nb=c\n\n")
    assert not in_file


@pytest.mark.parametrize(
    ("level", "priority", "name"),
    [
        *((60, 2, "fatal"), (50, 2, "fatal"), (45, 3, "error"), (40, 3, "error"), (30, 4, "warn"), (25, 6, "info")),
        *((20, 6, "info"), (15, 7, "debug"), (10, 7, "debug"), (5, 7, "trace"), (1, 7, "trace")),
    ],
)
def test_levels(journal: Journal, level: int, priority: int, name: str) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.log(level, "x")
    assert journal.entry()["PRIORITY"] == str(priority) == str(logs.priority(level))
    stream = io.StringIO()
    logs.configure("trace", "json", stream)
    logging.getLogger().setLevel(1)
    logging.log(level, "x")
    assert json.loads(stream.getvalue())["level"] == name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("user_id", "USER_ID"), ("userId", "USERID"), ("user.id", "USER_ID"), ("_private", "PRIVATE")),
        *(("__a", "A"), ("9lives", "LIVES"), ("ÄB", "B"), ("x" * 70, "X" * 64), ("a\n=b", "A__B"), ("ß", "SS")),
        *(("message_id", "MESSAGE_ID"), ("priority", "PRIORITY_"), ("logger", "LOGGER_"), ("app", "APP_")),
    ],
)
def test_names_of_fields(journal: Journal, key: str, name: str) -> None:
    with logger_to(JournalHandler(None, {"app": "constant"}, journal.path)) as logger:
        logger.info("x", extra={key: "value"})
    entry = journal.entry()
    assert entry[name] == "value"
    assert (entry["MESSAGE"], entry["PRIORITY"], entry["APP"]) == ("x", "6", "constant")


@pytest.mark.parametrize("key", ["", "_", "123", "_9", "日本"])
def test_without_a_name_there_is_no_field(journal: Journal, key: str) -> None:
    with logger_to(JournalHandler(None, {key: "x"}, journal.path)) as logger:
        logger.info("x", extra={key: "value"})
    assert set(journal.entry()) == {"MESSAGE", "PRIORITY", "LOGGER", "CODE_FILE", "CODE_LINE", "CODE_FUNC"}


def test_no_more_fields_than_journald_accepts(journal: Journal) -> None:
    with logger_to(JournalHandler("api", {"A": "x"}, journal.path)) as logger:
        logger.info("x", extra={f"field{number}": number for number in range(2000)})
    entry = journal.entry()
    assert len(entry) == 1002
    assert (entry["MESSAGE"], entry["SYSLOG_IDENTIFIER"], entry["A"]) == ("x", "api", "x")


def test_a_trace_id_that_is_none_is_no_field(journal: Journal) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.info("x", extra={"trace_id": None})
    assert "TRACE_ID" not in journal.entry()


def test_another_thread_is_named(journal: Journal) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        thread = threading.Thread(target=logger.info, args=("x",), name="worker-1")
        thread.start()
        thread.join()
    assert journal.entry()["THREAD_NAME"] == "worker-1"


class AwfulError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "message", "expected"),
    [
        (ValueError("x"), "cannot save", "cannot save: ValueError: x"),
        (ValueError("x"), "", "ValueError: x"),
        (ValueError("x"), "it is ValueError: x again", "it is ValueError: x again"),
        (ValueError("x\ny"), "cannot save", "cannot save: ValueError: x"),
        (ValueError(), "cannot save", "cannot save: ValueError"),
        (json.JSONDecodeError("x", "", 0), "a", "a: json.decoder.JSONDecodeError: x: line 1 column 1 (char 0)"),
        (AwfulError(), "a", "a: tests.unit.host.test_logging.AwfulError: <unprintable AwfulError>"),
    ],
)
def test_exceptions(journal: Journal, error: Exception, message: str, expected: str) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        try:
            raise error
        except Exception:
            logger.exception(message)
    entry = journal.entry()
    assert (entry["MESSAGE"], entry["PRIORITY"]) == (expected, "3")
    assert entry["EXCEPTION"].startswith("Traceback (most recent call last):\n")
    assert type(error).__qualname__ in entry["EXCEPTION"]


def test_no_exception_at_all(journal: Journal) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.exception("cannot save")
        logger.info("where", stack_info=True)
    first, second = journal.entries()
    assert first["MESSAGE"] == "cannot save" and "EXCEPTION" not in first
    assert second["STACK"].startswith("Stack (most recent call last):\n")


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("%d items", ("x",), "cannot format '%d items': TypeError: %d format: a real number is required, not str"),
        ("%s", (1, 2), "cannot format '%s': TypeError: not all arguments converted during string formatting"),
        ("%s", (AwfulError(),), "cannot format '%s': RuntimeError: no"),
        (AwfulError(), (), "cannot format '<unprintable AwfulError>': RuntimeError: no"),
        (None, (), "None"),
    ],
)
def test_what_cannot_be_formatted_says_so(
    journal: Journal, message: Any, arguments: tuple[object, ...], expected: str
) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.info(message, *arguments, extra={"awful": AwfulError()})
    logging.getLogger().info(message, *arguments, extra={"awful": AwfulError()})
    entry, line = journal.entry(), json.loads(stream.getvalue())
    assert entry["MESSAGE"] == line["message"] == expected
    assert entry["AWFUL"] == line["awful"] == "<unprintable AwfulError>"


def test_a_large_entry_comes_in_a_sealed_file(journal: Journal) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with logger_to(JournalHandler("api", {}, journal.path)) as logger:
        logger.info("x" * 3_000_000, extra={"lines": "a\nb"})
        logger.info("small")
        ((data, in_file), (_, small_in_file)) = journal.datagrams()
        assert (in_file, small_in_file) == (True, False)
        entry = parse(data)
        assert entry["MESSAGE"] == "x" * 3_000_000
        assert entry["LINES"] == "a\nb"
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# What goes in comes out


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = Journal(tmp_path_factory.mktemp("journal") / "socket")
    yield journal
    journal.socket.close()


ANY_TEXT = st.text(st.characters(exclude_categories=()))  # half surrogate pairs too
NAMES = st.from_regex(r"x[A-Z0-9_]{0,20}", fullmatch=True)


def shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@settings(max_examples=50)
@given(ANY_TEXT, st.dictionaries(NAMES, ANY_TEXT, max_size=5), ANY_TEXT)
@example("\n", {"x": "\n"}, "")
@example("\0\udcff\r\n", {"x": "PRIORITY=0\nx"}, "\n")
def test_entries_both_ways(lasting: Journal, message: str, extra: dict[str, str], constant: str) -> None:
    with logger_to(JournalHandler(None, {"CONSTANT": constant}, lasting.path)) as logger:
        logger.info(message, extra=extra)
    entry = lasting.entry()
    assert entry["MESSAGE"] == shown(message)
    assert entry["CONSTANT"] == shown(constant)
    assert {name: value for name, value in entry.items() if name.startswith("X")} == {
        name.upper(): shown(value) for name, value in extra.items()
    }


@settings(max_examples=50)
@given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=5), ANY_TEXT)
def test_whatever_the_names(lasting: Journal, extra: dict[str, str], name: str) -> None:
    record = logging.makeLogRecord({**extra, "name": name, "msg": "x", "levelno": 10})
    handler = JournalHandler(None, {}, lasting.path)
    handler.handle(record)
    handler.close()
    ((data, _),) = lasting.datagrams()
    assert data.startswith(b"MESSAGE=x\nPRIORITY=7\nLOGGER")


@settings(max_examples=50)
@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT | st.floats() | st.none() | st.lists(ANY_TEXT), max_size=5))
@example("a\u2028b\x85c\x1b[0m\ud83d\ude00\ud83d", {"level": "x", "x": [float("nan")]})
@example("\\ud800", {"\\": "\ud800", "": {("a",): 1}})
def test_json_is_one_line_of_json(message: str, extra: dict[str, object]) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream, OMNITRON_APP="api", message="mine")
    logging.getLogger().handle(
        logging.makeLogRecord({"name": "app", "levelno": 20, "msg": message, "extra": 1, **extra})
    )
    text = stream.getvalue()
    assert text.endswith("\n") and text.isascii() and len(text.splitlines()) == 1
    line = json.loads(text, parse_constant=pytest.fail)
    json.dumps(line, ensure_ascii=False).encode()  # there is no half of a surrogate pair
    assert TIMESTAMP.fullmatch(line["timestamp"])
    assert (line["level"], line["OMNITRON_APP"], line["message_"]) == ("info", "api", "mine")
    if "msg" not in extra:
        assert shown(line["message"]) == shown(message) or "\ud83d\ude00" in message


@settings(max_examples=50)
@given(ANY_TEXT, ANY_TEXT)
def test_text_frames_each_record(name: str, message: str) -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    logging.getLogger().handle(logging.makeLogRecord({"name": name, "levelno": 30, "msg": message}))
    text = stream.getvalue()
    text.encode()
    first, *others = text.removesuffix("\n").split("\n")
    assert first.startswith("WARN ")
    assert all(line.startswith("  ") for line in others)
    assert "".join(text.splitlines(keepends=True)) == text and len(text.splitlines()) == 1 + len(others)


# Where the journal is not there


@pytest.fixture
def absent(tmp_path: Path) -> str:
    return str(tmp_path / "absent")


def test_without_a_journal_lines_go_to_stderr(absent: str, capfd: pytest.CaptureFixture[str]) -> None:
    with logger_to(JournalHandler("api", {}, absent)) as logger:
        logger.error("two\nlines \x1b[0m \udcff %s", "ö")
        try:
            raise ValueError("x")
        except ValueError:
            logger.exception("cannot save")
    first, second, third, *traceback, last = capfd.readouterr().err.splitlines()
    assert (first, second) == ("<3>app.users: two", "<3>  lines \\x1b[0m \\udcff ö")
    assert (third, last) == ("<3>app.users: cannot save", "<3>  ValueError: x")
    assert all(line.startswith("<3>  ") for line in traceback)


def test_the_journal_may_come_back(journal: Journal, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        journal.socket.close()
        logger.info("refused")
        Path(journal.path).unlink()
        logger.info("absent")
        journal.__init__(tmp_path / "socket")  # type: ignore[misc]
        logger.info("there")
    assert capfd.readouterr().err == "<6>app.users: refused\n<6>app.users: absent\n"
    assert journal.entry()["MESSAGE"] == "there"


def test_a_full_journal_does_not_stop_the_process(journal: Journal, capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        for number in range(2000):
            logger.info("record %d", number)
        logger.info("x" * 3_000_000)
    assert time.monotonic() - began < 10  # it would wait for ever, and the machine may be busy
    arrived = len(journal.entries())
    lines = capfd.readouterr().err.splitlines()
    assert 0 < arrived < 2000
    assert lines[: 2000 - arrived] == [f"<6>app.users: record {number}" for number in range(arrived, 2000)]
    assert sum(line.count("x") for line in lines[2000 - arrived :]) == 3_000_000
    assert max(map(len, lines)) < 1010


@contextmanager
def stderr_to(descriptor: int) -> Iterator[None]:
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_nor_does_a_full_stderr(absent: str, kind: str) -> None:
    reading, writing = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    began = time.monotonic()
    with logger_to(JournalHandler(None, {}, absent)) as logger, stderr_to(writing):
        for number in range(20_000):
            logger.info("record %d %s", number, "x" * 500)
            if number > 100 and not select.select([], [2], [], 0)[1]:
                break
        for _ in range(100):
            logger.info("this is lost\n" * 10)
    os.close(writing)
    assert time.monotonic() - began < 10  # it would wait for ever, and the machine may be busy
    with os.fdopen(reading, "rb") as file:
        data = file.read()
    assert number > 100
    assert data.endswith(b"x\n") and b"lost" not in data


@pytest.mark.parametrize("how", ["closed", "broken"])
def test_nor_does_no_stderr(absent: str, how: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with logger_to(JournalHandler(None, {}, absent)) as logger, stderr_to(writing):
        if how == "closed":
            os.close(2)
        logger.error("nobody hears")
        logs.notice("nobody hears", message_id="0" * 32, socket_path=absent)
    os.close(writing)


def test_a_record_that_is_none_says_so(journal: Journal, capfd: pytest.CaptureFixture[str]) -> None:
    with logger_to(JournalHandler(None, {}, journal.path)) as logger:
        logger.handlers[0].handle(logging.makeLogRecord({"name": AwfulError(), "msg": "x", "levelno": "high"}))
    expected = "cannot log a record of <unprintable AwfulError>: TypeError: '<=' not supported between"
    assert capfd.readouterr().err.startswith(f"<3>{expected}")
    logs.configure("info", "text", io.StringIO())
    logging.getLogger().handlers[0].handle(logging.makeLogRecord({"name": AwfulError(), "msg": "x", "levelno": 20}))
    assert capfd.readouterr().err == "<3>cannot log a record of <unprintable AwfulError>: RuntimeError: no\n"


@pytest.mark.parametrize("error", [errno.EMSGSIZE, errno.ENOBUFS])
def test_too_large_for_either_reason(journal: Journal, error: int) -> None:
    class Small(socket.socket):
        def sendto(self, *_: Any) -> int:
            raise OSError(error, os.strerror(error))

    with Small(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        logs._send(channel, journal.path, b"MESSAGE=x\n")
    assert list(journal.datagrams()) == [(b"MESSAGE=x\n", True)]


# Configuration


def test_json() -> None:
    stream = io.StringIO()
    logs.configure("debug", "json", stream, OMNITRON_APP="api")
    logging.getLogger("app").debug(
        "x", extra={"trace_id": "4b", "count": 3, "path": Path("/a"), "level": [1, {"a": 2}]}
    )
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("app").warning("cannot save", exc_info=True, stack_info=True)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert TIMESTAMP.fullmatch(first.pop("timestamp"))
    assert first == {
        "level": "debug",
        "logger": "app",
        "message": "x",
        "OMNITRON_APP": "api",
        "trace_id": "4b",
        "count": 3,
        "path": "/a",
        "level_": [1, {"a": 2}],
    }
    assert list(second) == ["timestamp", "level", "logger", "message", "OMNITRON_APP", "exception", "stack"]
    assert (second["level"], second["message"]) == ("warn", "cannot save")
    assert second["exception"].endswith("\nValueError: x")


def test_json_keeps_its_own_names() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream, a="constant")
    logging.info("x", extra={"exception": 1, "exception_": 2, "stack": 3, "timestamp": 4, "a": 5})
    line = json.loads(stream.getvalue())
    del line["timestamp"], line["level"], line["logger"]
    assert line == {
        "message": "x",
        "a": "constant",
        "exception_": 1,
        "exception__": 2,
        "stack_": 3,
        "timestamp_": 4,
        "a_": 5,
    }


def test_the_time_is_utc() -> None:
    assert logs._timestamp(1_700_000_000.9999) == "2023-11-14T22:13:20.999Z"
    assert logs._timestamp(0) == "1970-01-01T00:00:00.000Z"


def test_text() -> None:
    stream = io.StringIO()
    logs.configure("trace", "text", stream, OMNITRON_APP="api")
    logging.getLogger("app").log(logs.TRACE, "a\r\nb\tc")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger().critical("cannot start", exc_info=True)
    lines = stream.getvalue().splitlines()
    assert lines[:4] == [
        "TRACE app: a\\r",
        "  b\tc",
        "FATAL root: cannot start",
        "  Traceback (most recent call last):",
    ]
    assert lines[-1] == "  ValueError: x"
    assert (logging.getLevelName(50), logging.getLevelName(5)) == ("FATAL", "TRACE")


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_stream_in_another_encoding(format: Any) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    logs.configure("info", format, stream)
    logging.info("größe \U0001f600")
    stream.seek(0)
    line = stream.read()
    assert line == "INFO root: gr\\xf6\\xdfe \\U0001f600\n" or json.loads(line)["message"] == "größe \U0001f600"


def test_a_stream_that_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    stream.close()
    logging.info("x")
    assert capfd.readouterr().err == "<3>cannot log a record of root: ValueError: I/O operation on closed file\n"


class Closed(logging.NullHandler):
    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_one_handler_in_place_of_those_there(capfd: pytest.CaptureFixture[str]) -> None:
    first = Closed()
    logging.getLogger().addHandler(first)
    logs.configure("warn", "text", sys.stderr)
    assert len(logging.getLogger().handlers) == 1 and first.closed
    logging.getLogger("app").info("no")
    logging.getLogger("app").warning("yes")
    assert capfd.readouterr().err == "WARN app: yes\n"


def test_the_identifier_is_a_field(journal: Journal) -> None:
    logs.configure("info", "journal", SYSLOG_IDENTIFIER="api", OMNITRON_APP="users")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, JournalHandler)
    handler._path = journal.path
    logging.info("x")
    entry = journal.entry()
    assert (entry["SYSLOG_IDENTIFIER"], entry["OMNITRON_APP"]) == ("api", "users")


@pytest.mark.parametrize(
    ("level", "format", "message"),
    [
        ("loud", None, "cannot log at level 'loud': not one of fatal, error, warn, info, debug, trace"),
        ("INFO", None, "cannot log at level 'INFO': not one of fatal, error, warn, info, debug, trace"),
        ("info", "xml", "cannot log as 'xml': not one of journal, json, text"),
    ],
)
def test_mistakes(level: str, format: Any, message: str) -> None:
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match=re.escape(message)):
        logs.configure(level, format)
    assert logging.getLogger().handlers == handlers


def test_the_journal_is_chosen_where_stderr_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    logs.configure("info")
    assert not isinstance(logging.getLogger().handlers[0], JournalHandler)  # inherited, and stderr is another one
    with stderr_to(theirs.fileno()):
        logs.configure("info")
    assert isinstance(logging.getLogger().handlers[0], JournalHandler)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("format", "expected"),
    [("text", "<3>ERROR app: a\n<3>  b\n"), ("json", r'<3>\{"timestamp.*"message": "a\\nb"\}' "\n")],
)
def test_lines_in_the_journal_have_their_priority(monkeypatch: pytest.MonkeyPatch, format: Any, expected: str) -> None:
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    with theirs.makefile("w") as stream:
        logs.configure("info", format, stream)
        logging.getLogger("app").error("a\nb")
        assert re.fullmatch(expected, ours.recv(1000).decode())
    ours.close()
    theirs.close()


# The last words


def test_a_notice(journal: Journal) -> None:
    logs.notice("cannot start:\nno", message_id="f" * 32, socket_path=journal.path, omnitron_app="api", priority=7)
    assert journal.entry() == {
        "MESSAGE": "cannot start:\nno",
        "PRIORITY": "3",
        "MESSAGE_ID": "f" * 32,
        "OMNITRON_APP": "api",
        "PRIORITY_": "7",
    }


def test_a_notice_without_a_journal(absent: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.notice("cannot start: x\nmore", message_id="f" * 32, socket_path=absent)
    assert capfd.readouterr().err == "<3>cannot start: x\n<3>more\n"


def test_importing_it_is_cheap() -> None:
    program = "import sys, omnitron.host.telemetry.logging; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    heavy = {"json", "asyncio", "logging.handlers", "inspect", "pathlib", "subprocess", "pydantic"}
    assert not heavy & set(loaded.stdout.split())
