"""One attempt each of the kinds of probe: http, jsonrpc, tcp, command."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

from .light.namedtuple import NamedTuple
from .messages import exited, killed, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

OUTPUT_KEPT = 4096  # bytes of a command's output, the last ones
BODY_LIMIT = 1024 * 1024  # bytes of an answer
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
    place = _place(url)
    return _in_thread(lambda limit_s: _request(place, limit_s, "GET", None))


def jsonrpc(target: str) -> Attempt:
    """Calls the method of `METHOD URL` without parameters, by JSON-RPC 2.0; a result is an answer, an error none."""
    method, _, url = target.partition(" ")
    place = _place(url)
    return _in_thread(lambda limit_s: _request(place, limit_s, "POST", method))


class _Place(NamedTuple):
    host: str
    port: int | None
    path: str
    secure: bool


def _place(url: str) -> _Place:
    from urllib.parse import urlsplit  # 3 ms

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http URL: {url!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(parts.hostname, parts.port, path, parts.scheme == "https")


def _request(place: _Place, limit_s: float, verb: str, method: str | None) -> str | None:
    # 15 ms: probes of other kinds do without.
    import json
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    connection = HTTPConnection(place.host, place.port, timeout=limit_s)
    if place.secure:
        connection = HTTPSConnection(place.host, place.port, timeout=limit_s, context=_any_certificate())
    headers = {"Connection": "close", "User-Agent": "omnitron-probe"}
    body = None
    if method is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method})
    try:
        connection.request(verb, place.path, body, headers)
        answer = connection.getresponse()
        if not 200 <= answer.status < (400 if method is None else 300):
            return f"status {answer.status}"
        return None if method is None else _fault(answer.read(BODY_LIMIT))
    except HTTPException as error:
        return f"no HTTP answer ({type(error).__name__})"
    finally:
        connection.close()


def _fault(body: bytes) -> str | None:
    """Return what is wrong with the answer to a JSON-RPC call, None for a result."""
    import json

    try:
        told = json.loads(body)
    except ValueError:
        return "no JSON-RPC answer"
    if not isinstance(told, dict) or not ("result" in told or "error" in told):
        return "no JSON-RPC answer"
    # Version 1 has both, one of them null.
    error = told.get("error")
    return None if error is None else f"error: {json.dumps(error)[:LINE_KEPT]}"


def _any_certificate() -> ssl.SSLContext:
    import ssl  # 6 ms

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
    from subprocess import DEVNULL, PIPE, STDOUT, Popen  # 3 ms

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
    ended = exited(str(code)) if code > 0 else killed(signal.Signals(-code).name.removeprefix("SIG"))
    return f"{ended}: {text}" if text else ended


def _poll(*descriptors: int) -> select.poll:
    poll = select.poll()
    for descriptor in descriptors:
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
    return poll


KINDS: dict[str, Callable[[str], Attempt]] = {"http": http, "jsonrpc": jsonrpc, "tcp": tcp}
"""Those that have a target; each raises ValueError for one that it cannot ask."""
