import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from omnitron.supervision.helpers import readiness_probe
from omnitron.supervision.helpers.readiness_probe import main, parse, wait

FOLDER = Path(readiness_probe.__file__).parent


def arguments(*probe: str, deadline: int = 500, timeout: int = 400) -> list[str]:
    return ["--deadline-ms", str(deadline), "--timeout-ms", str(timeout), *probe]


@contextmanager
def http_server(*statuses: int, body: bytes = b"", slow: float = 0, certificate: str = "") -> Iterator[str]:
    """Answers with one status after the other, the last one from then on; gives `host:port`."""
    queue = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(slow)
            self.send_response(queue.pop(0) if len(queue) > 1 else queue[0])
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(self.path.encode() + body)

        def do_POST(self) -> None:
            called = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(queue[0])
            self.end_headers()
            self.wfile.write(body.replace(b"METHOD", f"{self.path} {called['method']}".encode()))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def no_main_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINPID", raising=False)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("status", [200, 204, 301, 399])
def test_http_is_ready(status: int) -> None:
    with http_server(status) as address:
        assert wait(parse(arguments("--http", f"http://{address}/healthz?deep=1", deadline=3000, timeout=2000))) is None


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_http_is_not_ready(status: int) -> None:
    with http_server(status) as address:
        url = f"http://{address}/healthz"
        assert wait(parse(arguments("--http", url))) == f"not ready after 500 ms: http {url}: status {status}"


def test_http_becomes_ready() -> None:
    with http_server(503, 503, 200) as address:
        assert wait(parse(arguments("--http", f"http://{address}", deadline=5000))) is None


def test_http_body_is_not_read() -> None:
    with http_server(200, body=b"x" * 50_000_000) as address:
        started = time.monotonic()
        assert wait(parse(arguments("--http", f"http://{address}", deadline=3000, timeout=3000))) is None
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b'{"jsonrpc": "2.0", "id": 1, "result": {"height": 1}}', None),
        (200, b'{"result": null, "error": null, "id": 1}', None),
        (
            200,
            b'{"jsonrpc": "2.0", "id": 1, "error": {"message": "METHOD"}}',
            'error: {"message": "/json_rpc get_info"}',
        ),
        (200, b"<html>", "no JSON-RPC answer"),
        (200, b"[]", "no JSON-RPC answer"),
        (200, b"{}", "no JSON-RPC answer"),
        (401, b'{"result": 1}', "status 401"),
        (302, b'{"result": 1}', "status 302"),
    ],
)
def test_jsonrpc(status: int, body: bytes, why: str | None) -> None:
    with http_server(status, body=body) as address:
        target = f"get_info http://{address}/json_rpc"
        said = wait(parse(arguments("--jsonrpc", target, deadline=300, timeout=2000)))
        assert said == (why and f"not ready after 300 ms: jsonrpc {target}: {why}")


def test_https_with_any_certificate(tmp_path: Path) -> None:
    files = [str(tmp_path / "key"), str(tmp_path / "crt"), str(tmp_path / "pem")]
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-days", "1"]
    try:
        subprocess.run([*openssl, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    Path(files[2]).write_text(Path(files[0]).read_text() + Path(files[1]).read_text())
    with http_server(200, certificate=files[2]) as address:
        assert wait(parse(arguments("--http", f"https://{address}/", deadline=3000, timeout=3000))) is None


def test_http_that_hangs_is_given_up() -> None:
    with http_server(200, slow=20) as address:
        started = time.monotonic()
        url = f"http://{address}/"
        assert wait(parse(arguments("--http", url))) == (f"not ready after 500 ms: http {url}: no answer within 400 ms")
        assert time.monotonic() - started < 10


def test_http_by_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 smtp ready\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        trouble = wait(parse(arguments("--http", f"http://127.0.0.1:{port}/")))
        assert trouble is not None
        assert trouble.endswith("no HTTP answer (BadStatusLine)")
        listener.shutdown(socket.SHUT_RDWR)


def test_tcp(free_port: int) -> None:
    target = f"127.0.0.1:{free_port}"
    assert wait(parse(arguments("--tcp", target))) == f"not ready after 500 ms: tcp {target}: connection refused"
    with socket.create_server(("127.0.0.1", free_port)):
        assert wait(parse(arguments("--tcp", target))) is None


def test_tcp_on_ipv6() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert wait(parse(arguments("--tcp", f"[::1]:{listener.getsockname()[1]}"))) is None


def test_tcp_on_a_unix_socket(tmp_path: Path) -> None:
    target = f"unix:{tmp_path}/api.sock"
    assert wait(parse(arguments("--tcp", target))) == (
        f"not ready after 500 ms: tcp {target}: no such file or directory"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/api.sock")
        listener.listen()
        assert wait(parse(arguments("--tcp", target))) is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", None),
        ("echo hello; exit 0", None),
        ("exit 3", "exit code 3"),
        ("echo one; echo; echo 'two\x07 words' >&2; echo; exit 3", "exit code 3: two? words"),
        ("kill -KILL $$", "signal KILL"),
        ("sleep 9", "no answer within 200 ms"),
        ("sleep 9 & exit 0", None),
        ("yes", "no answer within 200 ms"),
        ("head -c 9000000 /dev/zero; exit 4", "exit code 4: " + "?" * 200),
    ],
)
def test_command(script: str, reason: str | None) -> None:
    trouble = wait(parse(arguments("--command", "sh", "-c", script, deadline=300, timeout=200)))
    assert trouble == (reason and f"not ready after 300 ms: command sh -c {script}: {reason}")


def test_command_that_is_missing() -> None:
    trouble = wait(parse(arguments("--command", "/nonexistent/probe")))
    assert trouble == "not ready after 500 ms: command /nonexistent/probe: no such file or directory"


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_command_is_killed_with_its_group(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >>{tmp_path}/pids; wait"
    wait(parse(arguments("--command", "sh", "-c", script)))
    until = time.monotonic() + 10  # the kernel may take a moment to end what it was told to
    for pid in (tmp_path / "pids").read_text().split():
        while runs(pid):
            assert time.monotonic() < until, pid
            time.sleep(0.01)


@pytest.mark.parametrize(
    "probe",
    [
        ["--http", "ftp://x/"],
        ["--http", "http:///x"],
        ["--tcp", "localhost"],
        ["--tcp", "localhost:http"],
        ["--tcp", "unix:relative"],
        ["--command"],
        ["--dns", "x"],
        ["--tcp", "localhost:1", "--http", "http://x/"],
        ["--tcp", "localhost:1", "word"],
        [],
    ],
)
def test_wrong_usage(probe: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(*probe)) == 2
    assert capsys.readouterr().err.startswith("cannot probe: ")


@pytest.mark.parametrize(
    "probe", [["--tcp", "127.0.0.1:1"], ["--command", "sleep", "9"], ["--command", "false"], ["--http", "hangs"]]
)
def test_the_end_of_the_main_process_ends_it_at_once(
    probe: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "0.3"]) as process, http_server(200, slow=15) as address:
        monkeypatch.setenv("MAINPID", str(process.pid))
        probe = [word.replace("hangs", f"http://{address}/") for word in probe]
        started = time.monotonic()
        assert main(arguments(*probe, deadline=20_000, timeout=10_000)) == 1
        assert 0.1 < time.monotonic() - started < 10
    assert capsys.readouterr().err.startswith(f"not ready, its main process is gone: {probe[0][2:]} ")


def test_a_main_process_that_is_gone_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    monkeypatch.setenv("MAINPID", str(process.pid))
    assert main(arguments("--tcp", "127.0.0.1:1")) == 1
    assert capsys.readouterr().err == "not ready, its main process is gone\n"


def test_an_answer_by_another_process_is_none() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        gone = os.pidfd_open(process.pid)
        process.communicate()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            probe = parse(arguments("--tcp", f"127.0.0.1:{listener.getsockname()[1]}"))
            trouble = wait(probe, gone)
        os.close(gone)
    assert trouble is not None
    assert trouble.startswith("not ready, its main process is gone: tcp ")


def test_nothing_is_left_open(free_port: int) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not files

    before = descriptors()
    wait(parse(arguments("--tcp", f"127.0.0.1:{free_port}")))
    wait(parse(arguments("--command", "sleep", "9")))
    assert descriptors() <= before


def run(*probe: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-I", "-S", str(FOLDER / "run.py"), "readiness_probe", *arguments(*probe)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")


def test_runs_as_systemd_runs_it(free_port: int) -> None:
    done = run("--tcp", f"127.0.0.1:{free_port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"not ready after 500 ms: tcp 127.0.0.1:{free_port}: connection refused\n"
    with http_server(200) as address:
        assert run("--http", f"http://{address}/").returncode == 0
    assert run("--command", "true").returncode == 0
