"""One attempt each of the kinds of probe: http, tcp, command."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

from .wording import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

OUTPUT_KEPT = 4096  # bytes of a command's output, the last ones
LINE_KEPT = 200  # characters of its last line, for the message

# Takes the time it may use (seconds) and a descriptor that becomes readable once going on is pointless
# (-1 for none). Returns None when the service answered, else why not.
Attempt = Callable[[float, int], "str | None"]
# The same without the descriptor: it may take longer, it is then left alone.
Ask = Callable[[float], "str | None"]


def tcp(target: str) -> Attempt:
    """Connects to `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; ValueError when it is none of them."""
    if target.startswith("unix:/"):
        return _in_thread(lambda limit_s: _connect_unix(target.removeprefix("unix:"), limit_s))
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"not HOST:PORT or unix:PATH: {target!r}")
    address = host.removeprefix("[").removesuffix("]"), int(port)
    return _in_thread(lambda limit_s: socket.create_connection(address, limit_s).close())


def _connect_unix(path: str, limit_s: float) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(limit_s)
        connection.connect(path)


def http(url: str) -> Attempt:
    """Gets `url`; 2xx and 3xx are answers. No redirects, no proxies, any certificate."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http URL: {url!r}")
    host, port, secure = parts.hostname, parts.port, parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _in_thread(lambda limit_s: _get(host, port, path, limit_s, secure=secure))


def _get(host: str, port: int | None, path: str, limit_s: float, *, secure: bool) -> str | None:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    connection = HTTPConnection(host, port, timeout=limit_s)
    if secure:
        connection = HTTPSConnection(host, port, timeout=limit_s, context=_any_certificate())
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "omnitron-probe"})
        status = connection.getresponse().status
        return None if 200 <= status < 400 else f"status {status}"
    except HTTPException as error:
        return f"no HTTP answer ({type(error).__name__})"
    finally:
        connection.close()


def _any_certificate() -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The probe asks whether the service answers; its own host name is rarely in the certificate.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _in_thread(ask: Ask) -> Attempt:
    """Bounds `ask` as a whole: socket timeouts hold for each step, and not for name lookups."""

    def attempt(limit_s: float, watch: int) -> str | None:
        answers: list[str | None] = []
        done, finish = os.pipe()
        poll = _poll(done, watch)

        def run() -> None:
            answers.append(_reason(ask, limit_s))
            os.close(finish)

        Thread(target=run, daemon=True).start()
        poll.poll(limit_s * 1000)
        os.close(done)
        return answers[0] if answers else _unanswered(limit_s, watch)

    return attempt


def _reason(ask: Ask, limit_s: float) -> str | None:
    try:
        return ask(limit_s)
    except TimeoutError:
        return _late(limit_s)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except Exception as error:
        return str(error)


def _unanswered(limit_s: float, watch: int) -> str:
    return "no answer yet" if watch >= 0 and _poll(watch).poll(0) else _late(limit_s)


def _late(limit_s: float) -> str:
    return f"no answer within {seconds(limit_s * 1000)}"


def command(argv: Sequence[str]) -> Attempt:
    """Runs `argv` in its own process group, killed as a whole at the end; exit status 0 is an answer."""
    if not argv:
        raise ValueError("--command needs a command")
    return lambda limit_s, watch: _run(argv, limit_s, watch)


def _run(argv: Sequence[str], limit_s: float, watch: int) -> str | None:
    from subprocess import DEVNULL, PIPE, STDOUT, Popen

    try:
        process = Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, process_group=0)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    assert process.stdout is not None
    ended = os.pidfd_open(process.pid)
    try:
        in_time, output = _output(process.stdout.fileno(), ended, watch, limit_s)
    finally:
        # Not yet reaped, so the group's number cannot be anybody else's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ended)
        process.stdout.close()
        process.wait()
    if not in_time:
        return _unanswered(limit_s, watch)
    return None if process.returncode == 0 else _failed(process.returncode, output)


def _output(pipe: int, ended: int, watch: int, limit_s: float) -> tuple[bool, bytes]:
    """Whether the process ended within `limit_s` seconds, and the last part of what it wrote."""
    poll, output = _poll(pipe, ended, watch), b""
    give_up = time.monotonic() + limit_s
    while ready := {fd for fd, _ in poll.poll(max(0.0, give_up - time.monotonic()) * 1000)}:
        chunk = os.read(pipe, 65536) if pipe in ready else b""
        output = (output + chunk)[-OUTPUT_KEPT:]
        if pipe in ready and not chunk:
            poll.unregister(pipe)
        # What it wrote comes first; a child that still writes must not keep us.
        if watch in ready or (ended in ready and len(chunk) < 65536):
            return ended in ready, output
    return False, output


def _failed(code: int, output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")[:LINE_KEPT]
    text = "".join(letter if letter.isprintable() else "?" for letter in last)
    ended = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name.removeprefix('SIG')}"
    return f"{ended}: {text}" if text else ended


def _poll(*descriptors: int) -> select.poll:
    poll = select.poll()
    for descriptor in descriptors:
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
    return poll
