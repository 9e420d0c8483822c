import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitron.supervision.light import systemctl as manager
from omnitron.supervision.light.systemctl import Properties, Question, job_type, printed, show, stop

Fake = Callable[[str], Path]


def test_properties(systemctl: Fake) -> None:
    calls = systemctl("printf 'Job=\\nNRestarts=3\\nDescription=a=b\\n'")
    asked = show("x.service", ["Job", "NRestarts"])
    assert [asked.get(name) for name in ("Job", "NRestarts", "Description", "Missing")] == ["", "3", "a=b", ""]
    assert calls.read_text() == "show --property=Job --property=NRestarts -- x.service\n"


def test_what_somebody_else_has_asked() -> None:
    ours, theirs = os.pipe()
    asked = Properties(lambda: printed(ours))
    os.write(theirs, b"Job=7\n")
    os.close(theirs)
    assert [asked.get("Job"), asked.get("NRestarts")] == ["7", ""]
    os.close(ours)


def test_nobody_else_is_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "PATIENCE_S", 0.1)
    ours, theirs = os.pipe()
    os.write(theirs, b"Job=7\n")
    assert Properties(lambda: printed(ours)).get("Job") == ""
    os.close(ours)
    os.close(theirs)


def test_the_users_manager(systemctl: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    calls = systemctl('echo "$XDG_RUNTIME_DIR $SECRET" >>"${0%/*}/calls"')
    monkeypatch.setenv("SECRET", "from the unit's Environment=")
    stop("x.service", user=True)
    assert calls.read_text() == "--user stop --no-block -- x.service\n/run/user/7 \n"


@pytest.mark.parametrize(
    ("answer", "job"),
    [
        ('[{"unit":"x.service","active":"active","sub":"running","description":"d"}]', ""),
        ('[{"unit":"x.service","sub":"stop-post","job":"restart","description":"d"}]', "restart"),
        ("[]", ""),
        ("", ""),
        ("{", ""),
    ],
)
def test_job_type(systemctl: Fake, answer: str, job: str) -> None:
    systemctl(f"echo '{answer}'")
    assert job_type("x.service") == job


def test_a_long_answer(systemctl: Fake) -> None:
    systemctl("head -c 300000 /dev/zero | tr '\\0' x")
    assert len(Question(["show"]).answer()) == 300_000


def test_no_answer_is_not_waited_for_forever(systemctl: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "PATIENCE_S", 0.1)
    systemctl("echo Job=; exec sleep 60")
    started = time.monotonic()
    assert show("x.service", ["Job"]).get("NRestarts") == ""
    assert time.monotonic() - started < 5


def test_nothing_is_left_open(systemctl: Fake) -> None:
    systemctl("echo Job=")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not files
    for _ in range(3):
        show("x.service", ["Job"]).get("Job")
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
