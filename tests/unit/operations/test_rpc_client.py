"""A call over a Unix socket, from the command line's side."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.operations.rpc_client import call


def serving(path: Path, answer: bytes) -> list[bytes]:
    """Answer one call at `path`; what was asked."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    asked: list[bytes] = []

    def serve() -> None:
        with listening, listening.accept()[0] as connection:
            asked.append(connection.recv(65536))
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return asked


def test_a_call_and_its_answer(tmp_path: Path) -> None:
    asked = serving(tmp_path / "s", b'{"jsonrpc":"2.0","id":1,"result":[1,2]}\n')
    assert call(tmp_path / "s", "A.b", {"x": 1}, 5)["result"] == [1, 2]
    request = json.loads(asked[0])
    assert (request["method"], request["params"], request["deadline"]) == ("A.b", {"x": 1}, 5)


@pytest.mark.parametrize("answer", [b"", b"garbage\n", b"[]\n", b"{}\n", b'{"error":1}\n'])
def test_what_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    serving(tmp_path / "s", answer)
    with pytest.raises(OmnitronError, match=r"cannot call A\.b: "):
        call(tmp_path / "s", "A.b", [], 5)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(OmnitronError, match="no such file"):
        call(tmp_path / "s", "A.b", [], 5)


def test_no_answer_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        with pytest.raises(OmnitronError, match=r"no answer within -0\.9 s"):
            call(tmp_path / "s", "A.b", [], -0.9)


def test_somebody_elses(tmp_path: Path) -> None:
    serving(tmp_path / "s", b"")
    (tmp_path / "s").chmod(0o600)
    tmp_path.chmod(0o755)
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)  # root may do everything
    try:
        with pytest.raises(NotPermittedError) if before == 0 else pytest.raises(OmnitronError):
            call(tmp_path / "s", "A.b", [], 5)
    finally:
        os.seteuid(before)
