"""What goes wrong on the command line: one clear error, the right exit status, and nothing changed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

VALID = {"project": "p", "apps": [{"name": "a", "command": ["sleep", "1"], "user": "www-data"}]}


def omnitron(*args: str, cwd: Path, env: dict[str, str] | None = None, user: int | None = None) -> tuple[int, str, str]:
    environment = {**os.environ, **(env or {})}
    command = [sys.executable, "-m", "omnitron", *args]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, user=user, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def define(folder: Path, definition: object = VALID, name: str = "omnitron.config.json") -> Path:
    path = folder / name
    path.write_text(definition if isinstance(definition, str) else json.dumps(definition))
    return path


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("omnitron.config.yaml", "a: [", "cannot parse"),
        ("omnitron.config.yaml", "&a [*a]", "an alias that contains itself"),
        ("omnitron.config.yaml", "\0\1\2", "cannot read"),
        ("omnitron.config.yaml", "x" * (10 << 20), "larger than 4 MiB"),
        ("omnitron.config.toml", "= 3", "cannot parse"),
        ("omnitron.config.json", "[]", "must be a mapping"),
        ("omnitron.config.py", "raise RuntimeError('no')", "RuntimeError: no"),
        ("omnitron.config.py", "import sys; sys.exit(3)", "it called sys.exit(3)"),
        ("omnitron.config.py", "print('hello')", "defines nothing"),
        ("omnitron.config.py", "import os; os._exit(7)", "ended with status 7"),
        ("omnitron.config.yaml", "project: p\napps: []\nstacks: {dev: {type: lokal}}", "did you mean 'local'?"),
    ],
)
def test_what_is_wrong_with_a_definition(tmp_path: Path, name: str, text: str, said: str) -> None:
    define(tmp_path, text, name)
    for verb in ("validate", "plan", "generate", "up"):
        code, out, err = omnitron(verb, cwd=tmp_path)
        assert (code, out) == (3, "")
        assert said in err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "omnitron.config.yaml").mkdir()
    code, _, err = omnitron("validate", cwd=tmp_path)
    assert code == 3
    assert "cannot find a definition" in err


def test_no_definition_at_all(tmp_path: Path) -> None:
    code, _, err = omnitron("validate", cwd=tmp_path)
    assert code == 3
    assert "omnitron init" in err


def test_errors_for_programs(tmp_path: Path) -> None:
    code, _, err = omnitron("validate", "--json", cwd=tmp_path)
    answer = json.loads(err)
    assert (code, answer["ok"], answer["exitCode"]) == (3, False, 3)


def test_usage_errors(tmp_path: Path) -> None:
    define(tmp_path)
    for args in (["validate", "--nonsense"], ["nonsense"], ["generate", "--stack", "prod"], ["scale", "a"]):
        assert omnitron(*args, cwd=tmp_path)[0] == 2, args
    _, _, err = omnitron("generate", "--stack", "prod", cwd=tmp_path)
    assert "there is dev" in err


@pytest.mark.parametrize("verb", ["generate", "up", "status", "start"])
def test_no_systemd(tmp_path: Path, verb: str) -> None:
    """A user's manager that is not there, wherever the test runs."""
    define(tmp_path)
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "none"), "DBUS_SESSION_BUS_ADDRESS": "", "HOME": str(tmp_path)}
    policies = tmp_path / ".config/omnitron"
    if verb in ("status", "start"):
        code, _, err = omnitron("generate", "--root", str(tmp_path / "root"), cwd=tmp_path)
        assert code == 0, err
        policies.mkdir(parents=True)
        policy = (tmp_path / "root/etc/omnitron/omnitron-dev.json").read_text()
        (policies / "omnitron-dev.json").write_text(policy)
    args = [verb, "--user"]
    code, _, err = omnitron(*args, cwd=tmp_path, env=env)
    assert code == 4, err
    assert "cannot reach your user's systemd" in err
    assert not (tmp_path / ".config/systemd").exists()


def test_not_permitted(tmp_path: Path) -> None:
    """Somebody else's folder: nothing is written, and the way out is named."""
    if os.geteuid() != 0:
        pytest.fail("needs root, to be another user")
    define(tmp_path)
    target = tmp_path / "root"
    target.mkdir(mode=0o755)
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp") and path.owner() == "root" and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    if not os.access(sys.executable, os.X_OK) or Path(sys.executable).resolve().is_relative_to("/root"):
        pytest.fail("the interpreter must be readable by other users")
    code, _, err = omnitron("generate", "--root", str(target), "--systemd-version", "252", cwd=tmp_path, user=65534)
    assert code == 5
    assert "permission denied" in err
    assert list(target.iterdir()) == []


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("needs root, to mount a small file system")
    define(tmp_path)
    target = tmp_path / "root"
    target.mkdir()
    generate = f"{shlex.quote(sys.executable)} -m omnitron generate --root {target}"
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {target} && {generate} && "
        f"find {target} -type f | sort | xargs md5sum >{tmp_path}/before && "
        f"head -c 1M /dev/zero >{target}/filler 2>/dev/null; "
        f"sed -i s/sleep/true/ omnitron.config.json; {generate}; "
        f"echo status $?; rm {target}/filler; find {target} -type f | sort | xargs md5sum >{tmp_path}/after"
    )
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "status 1" in done.stdout, done.stderr
    assert "no space left on device; nothing was changed" in done.stderr
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text() != ""


def test_completion_offers_every_verb(tmp_path: Path) -> None:
    env = {"_OMNITRON_COMPLETE": "complete_bash", "COMP_WORDS": "omnitron st", "COMP_CWORD": "1"}
    done = subprocess.run(
        [Path(sys.executable).parent / "omnitron"], env={**os.environ, **env}, capture_output=True, text=True
    )
    assert {"start", "status", "stop"} <= set(done.stdout.split())


def test_version(tmp_path: Path) -> None:
    code, out, _ = omnitron("--version", cwd=tmp_path)
    assert (code, out.count(".")) == (0, 2)
