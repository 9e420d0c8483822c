"""A process's log: entries of the journal with their fields, or lines of text or JSON on a stream.

Logging a record never raises or blocks: what the journal does not accept at once goes to stderr, and what
stderr does not accept at once is lost.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import select
import socket
import sys
import time
from functools import lru_cache, partial
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping
    from typing import Literal, TextIO

FATAL = logging.CRITICAL
TRACE = 5

LEVELS = {
    "fatal": FATAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}
# Priorities of syslog(3). A level in between has the priority of the nearest level below.
PRIORITY = {FATAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7, TRACE: 7}

SOCKET = "/run/systemd/journal/socket"

_NAMES = {level: name for name, level in LEVELS.items()}
_FORMATTER = logging.Formatter()

# Attributes of a record that are not a caller's `extra`; trace_id is handled apart.
_STANDARD = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName", "trace_id"}

_CODE = {"CODE_FILE", "CODE_LINE", "CODE_FUNC"}
_JOURNAL_OWN = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER", *_CODE, "THREAD_NAME", "EXCEPTION", "STACK"}
_JSON_OWN = {"timestamp", "level", "logger", "message", "exception", "stack"}

_FIELDS_MAX = 1000  # journald refuses entries with more than 1024
_NAME_MAX = 64  # characters, as in journald

_STDERR = 2
# An escaped character has at most 4 bytes, so a piece fits in PIPE_BUF (4096): poll(2) reports room for that much.
_PIECE = 1000

# Control characters and surrogates: all but tab and newline.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def configure(
    level: str, format: Literal["journal", "json", "text"] | None = None, stream: TextIO | None = None, **fields: str
) -> None:
    """Replace the handlers of the root logger by one that logs at or above `level`; ValueError for a wrong value.

    `format` is by default `journal` where stderr is the journal, else `text`; `stream` (stderr) is for text and
    JSON. `fields` are in each entry, `SYSLOG_IDENTIFIER` names the process in the journal; text has none.
    """
    if level not in LEVELS:
        raise ValueError(f"cannot log at level {level!r}: not one of {', '.join(LEVELS)}")
    handler = _handler(format or ("journal" if _is_journal(_STDERR) else "text"), stream or sys.stderr, fields)
    logging.addLevelName(FATAL, "FATAL")
    logging.addLevelName(TRACE, "TRACE")
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


def _handler(format: str, stream: TextIO, fields: dict[str, str]) -> logging.Handler:
    if format == "journal":
        return JournalHandler(fields.pop("SYSLOG_IDENTIFIER", None), fields)
    if format == "json":
        return _LineHandler(stream, partial(_json_line, fields))
    if format == "text":
        return _LineHandler(stream, _text_line)
    raise ValueError(f"cannot log as {format!r}: not one of journal, json, text")


def _is_journal(descriptor: int) -> bool:
    """Return whether `descriptor` is the journal; a child may have the variable, but another stderr."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def notice(reason: str, *, message_id: str, socket_path: str = SOCKET, **fields: object) -> None:
    """Log the reason of the process's end as an error: in the journal, and on a stderr that is not the journal.

    Works without `configure`.
    """
    if not _is_journal(_STDERR):
        _to_stderr(3, reason)
    own = {"MESSAGE": reason, "PRIORITY": 3, "MESSAGE_ID": message_id}
    try:
        with _channel() as channel:
            _send(channel, socket_path, _encode([*own.items(), *_journal_names(fields.items(), own)]))
    except OSError:
        if _is_journal(_STDERR):
            _to_stderr(3, reason)


class JournalHandler(logging.Handler):
    """Sends records by the journal's native protocol, with `fields` in each of them.

    A caller's `extra` becomes fields with upper-case names; `_` is added to a name that is reserved or in
    `fields`.
    """

    def __init__(
        self, identifier: str | None = None, fields: Mapping[str, str] | None = None, path: str = SOCKET
    ) -> None:
        super().__init__()
        constant = list(_journal_names((fields or {}).items(), _JOURNAL_OWN))
        self._reserved = _JOURNAL_OWN | {name for name, _ in constant}
        self._constant = _encode([*([("SYSLOG_IDENTIFIER", identifier)] if identifier else []), *constant])
        self._path = path
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send `record` to the journal, or to stderr if that fails."""
        try:
            fields = (*_journal_fields(record), *_journal_names(_extra(record), self._reserved))
            data = _encode(islice(fields, _FIELDS_MAX)) + self._constant
            try:
                self._socket = self._socket or _channel()
                _send(self._socket, self._path, data)
            except OSError:
                _to_stderr(priority(record.levelno), _lines(record))
        except Exception as error:
            _refused(record, error)

    def close(self) -> None:
        """Close the socket; the next record opens it again."""
        channel, self._socket = self._socket, None
        if channel:
            channel.close()
        super().close()


class _LineHandler(logging.Handler):
    """Writes each record as one line or several, with their priority in front when they go to the journal."""

    def __init__(self, stream: TextIO, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._stream, self._line = stream, line
        try:
            self._prefixed = _is_journal(stream.fileno())
        except (AttributeError, OSError, ValueError):  # a stream without a descriptor
            self._prefixed = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self._line(record)
            if self._prefixed:
                text = _prefixed(priority(record.levelno), text)
            try:
                self._stream.write(text + "\n")
            except UnicodeEncodeError:  # a stream of another encoding than UTF-8
                self._stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
            self._stream.flush()
        except Exception as error:
            _refused(record, error)


def priority(level: int) -> int:
    """Return the syslog priority of a numeric level."""
    return PRIORITY[_nearest(level)]


@lru_cache(64)
def _nearest(level: int) -> int:
    return max((standard for standard in PRIORITY if standard <= level), default=TRACE)


# The parts of a record


def text_of(value: object) -> str:
    """Return the text of a value; an error of its `__str__` must not reach the code that logs it."""
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        return f"cannot format {text_of(record.msg)!r}: {_summary(error)}"


def _summary(error: BaseException) -> str:
    """Return the last line of a traceback, `ValueError: x`, with the first line of the error's text only."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    first = text_of(error).partition("\n")[0]
    return f"{name}: {first}" if first else name


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_text or not record.exc_info or not _error(record):
        return record.exc_text or ""
    try:
        return _FORMATTER.formatException(record.exc_info)
    except Exception as error:
        return f"no traceback: {_summary(error)}"


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    trace_id = getattr(record, "trace_id", None)  # getattr: a record factory may set it on its class
    if trace_id:
        yield "trace_id", trace_id
    for key, value in list(record.__dict__.items()):
        if key not in _STANDARD:
            yield text_of(key), value


# Journal entries


def _journal_fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    message, error, traceback = _message(record), _error(record), _traceback(record)
    if error and (summary := _summary(error)) not in message:
        message = f"{message}: {summary}" if message else summary
    yield "MESSAGE", message
    yield "PRIORITY", priority(record.levelno)
    yield "LOGGER", record.name
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", record.lineno
    yield "CODE_FUNC", record.funcName
    if record.threadName not in ("MainThread", None):
        yield "THREAD_NAME", record.threadName
    if traceback:
        yield "EXCEPTION", traceback
    if record.stack_info:
        yield "STACK", record.stack_info


def _journal_names(fields: Iterable[tuple[str, object]], reserved: Container[str]) -> Iterator[tuple[str, object]]:
    for key, value in fields:
        name = _journal_name(key)
        if name:
            yield (f"{name}_" if name in reserved else name), value


@lru_cache(256)
def _journal_name(key: str) -> str:
    """Return a name that journald accepts, `USER_ID` for `user-id`: ASCII, a letter first; maybe empty."""
    return re.sub("[^A-Z0-9_]", "_", key.upper()).lstrip("_0123456789")[:_NAME_MAX]


def _encode(fields: Iterable[tuple[str, object]]) -> bytes:
    parts: list[bytes] = []
    for name, value in fields:
        data = text_of(value).encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts += (name.encode(), b"\n", len(data).to_bytes(8, "little"), data, b"\n")
        else:
            parts += (name.encode(), b"=", data, b"\n")
    return b"".join(parts)


def _channel() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def _send(channel: socket.socket, path: str, data: bytes) -> None:
    try:
        # No connect(): after an upgrade the journal's socket may be another one.
        channel.sendto(data, path)
    except OSError as error:
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
            raise
        _send_file(channel, path, data)


def _send_file(channel: socket.socket, path: str, data: bytes) -> None:
    """Send data that is too large for a datagram, as a sealed memory file."""
    descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        rights = descriptor.to_bytes(4, sys.byteorder)
        channel.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, path)


# Lines


def _lines(record: logging.LogRecord) -> str:
    """Return `logger: message`, with the further lines of message and traceback indented."""
    parts = (f"{record.name}: {_message(record)}", _traceback(record), record.stack_info)
    return _escaped("\n".join(part for part in parts if part)).replace("\n", "\n  ")


def _text_line(record: logging.LogRecord) -> str:
    return f"{_NAMES[_nearest(record.levelno)].upper()} {_lines(record)}"


def _json_line(fields: Mapping[str, str], record: logging.LogRecord) -> str:
    entry: dict[str, object] = {
        "timestamp": _timestamp(record.created),
        "level": _NAMES[_nearest(record.levelno)],
        "logger": record.name,
        "message": _message(record),
    }
    for key, value in (*fields.items(), *_extra(record)):
        while key in _JSON_OWN or key in entry:
            key += "_"
        entry[key] = value
    if traceback := _traceback(record):
        entry["exception"] = traceback
    if record.stack_info:
        entry["stack"] = record.stack_info
    return _json(entry)


def _timestamp(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milliseconds:03}Z"


def _json(entry: dict[str, object]) -> str:
    """Return one line of ASCII; a value that JSON does not have becomes its text."""
    import json  # 1 ms, and the journal takes entries without

    try:
        line = json.dumps(entry, default=text_of, allow_nan=False)
    except Exception:  # NaN, a loop, or a key that is not text
        line = json.dumps({key: text_of(value) for key, value in entry.items()})
    if "\\ud" not in line:
        return line
    # There may be half a surrogate pair, which strict parsers refuse.
    raw = json.dumps(json.loads(line), ensure_ascii=False)
    return json.dumps(json.loads(_SURROGATE.sub(lambda half: f"\\\\u{ord(half[0]):04x}", raw)))


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda character: character[0].encode("unicode_escape").decode(), text)


def _prefixed(priority: int, text: str) -> str:
    """Return the text with the priority of sd-daemon(3) before each line."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def _to_stderr(priority: int, text: str) -> None:
    """Write as much as stderr takes without blocking: a stderr that is the journal may be stuck too."""
    room = select.poll()
    room.register(_STDERR, select.POLLOUT)
    try:
        for line in _escaped(text).split("\n"):
            for start in range(0, len(line), _PIECE):
                if not room.poll(0):
                    return
                os.write(_STDERR, f"<{priority}>{line[start : start + _PIECE]}\n".encode())
    except OSError:
        return


def _refused(record: logging.LogRecord, error: Exception) -> None:
    _to_stderr(3, f"cannot log a record of {text_of(record.name)}: {_summary(error)}")
