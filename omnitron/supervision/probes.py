"""The kinds of probe (http, jsonrpc, tcp, command): each function makes one attempt."""

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

OUTPUT_LIMIT = 4096  # last bytes of the output of a command
BODY_LIMIT = 1024 * 1024  # bytes of an answer
LINE_LIMIT = 200  # characters of its last line in a message

# Takes a time limit (seconds) and a descriptor that becomes readable when the attempt is to be aborted (-1 for
# none). Returns None if the service answered, else the reason.
Attempt = Callable[[float, int], "str | None"]
# The same without the descriptor. It may exceed the limit; then its result is ignored.
Ask = Callable[[float], "str | None"]


def tcp(target: str) -> Attempt:
    """Connect to `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; ValueError for other texts."""
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
    """Send GET to `url`; 2xx and 3xx count as success. No redirects, no proxies, any certificate."""
    address = _address(url)
    return _in_thread(lambda limit_s: _request(address, limit_s, "GET", None))


def jsonrpc(target: str) -> Attempt:
    """Call the method of `METHOD URL` without parameters by JSON-RPC 2.0; only a result counts as success."""
    method, _, url = target.partition(" ")
    address = _address(url)
    return _in_thread(lambda limit_s: _request(address, limit_s, "POST", method))


class _Address(NamedTuple):
    host: str
    port: int | None
    path: str
    secure: bool


def _address(url: str) -> _Address:
    from urllib.parse import urlsplit  # 3 ms

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http URL: {url!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Address(parts.hostname, parts.port, path, parts.scheme == "https")


def _request(address: _Address, limit_s: float, verb: str, method: str | None) -> str | None:
    # 15 ms: probes of other kinds do without.
    import json
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    connection = HTTPConnection(address.host, address.port, timeout=limit_s)
    if address.secure:
        connection = HTTPSConnection(address.host, address.port, timeout=limit_s, context=_any_certificate())
    headers = {"Connection": "close", "User-Agent": "omnitron-probe"}
    body = None
    if method is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method})
    try:
        connection.request(verb, address.path, body, headers)
        answer = connection.getresponse()
        if not 200 <= answer.status < (400 if method is None else 300):
            return f"status {answer.status}"
        return None if method is None else _fault(answer.read(BODY_LIMIT))
    except HTTPException as error:
        return f"no HTTP answer ({type(error).__name__})"
    finally:
        connection.close()


def _fault(body: bytes) -> str | None:
    """Return the failure in the answer to a JSON-RPC call, None for a result."""
    import json

    try:
        reply = json.loads(body)
    except ValueError:
        return "no JSON-RPC answer"
    if not isinstance(reply, dict) or not ("result" in reply or "error" in reply):
        return "no JSON-RPC answer"
    # In version 1 both keys are present, one of them null.
    error = reply.get("error")
    return None if error is None else f"error: {json.dumps(error)[:LINE_LIMIT]}"


def _any_certificate() -> ssl.SSLContext:
    import ssl  # 6 ms

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A probe connects to a local address, which is rarely in the certificate.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _in_thread(ask: Ask) -> Attempt:
    """Limit the time of `ask` as a whole: socket timeouts apply to single steps, and not to name lookups."""

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
    """Run `argv` in its own process group, which is killed at the end; exit status 0 counts as success."""
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
        # Before the process is reaped: the number of the group cannot be used again yet.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ended)
        process.stdout.close()
        process.wait()
    if not in_time:
        return _unanswered(limit_s, watch)
    return None if process.returncode == 0 else _failed(process.returncode, output)


def _output(pipe: int, ended: int, watch: int, limit_s: float) -> tuple[bool, bytes]:
    """Return whether the process ended within `limit_s` seconds, and the last part of its output."""
    poll, output = _poll(pipe, ended, watch), b""
    give_up = time.monotonic() + limit_s
    while ready := {fd for fd, _ in poll.poll(max(0.0, give_up - time.monotonic()) * 1000)}:
        chunk = os.read(pipe, 65536) if pipe in ready else b""
        output = (output + chunk)[-OUTPUT_LIMIT:]
        if pipe in ready and not chunk:
            poll.unregister(pipe)
        # Read the output of the process first, but do not wait for a child that still writes.
        if watch in ready or (ended in ready and len(chunk) < 65536):
            return ended in ready, output
    return False, output


def _failed(code: int, output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")[:LINE_LIMIT]
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
"""The kinds that have a target; each raises ValueError for an invalid one."""
