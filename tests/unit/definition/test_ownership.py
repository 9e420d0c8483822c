"""Root acts on nobody's definition but its owner's, and as the owner."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from omnitron.definition import source
from omnitron.definition.loader import load
from omnitron.definition.ownership import UntrustedPathError
from omnitron.definition.python import evaluate
from omnitron.errors import NotPermittedError
from tests.support.build import problems, shop, write
from tests.support.folders import open_up

IDS = "f'{os.getuid()} {os.geteuid()} {os.getgid()} {len(os.getgroups()) > 1} {os.environ.get(\"SECRET\")}'"
WHO = f"""
import os
from omnitron import define_ecosystem
it = define_ecosystem(project='p', apps=[dict(name='a', user='www-data', command=['x'], env=dict(IDS={IDS}))])
"""
SETTINGS = shop({"name": "a"})


@pytest.fixture
def home(nobody: pwd.struct_passwd, tmp_path: Path) -> Path:
    """A folder of another user, which that user can reach."""
    open_up(tmp_path)
    path = tmp_path / "home"
    path.mkdir()
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return path


def owned(path: Path, account: pwd.struct_passwd) -> Path:
    os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return path


def ids(path: Path) -> str:
    return load(path).config.apps[0].env["IDS"]


def test_a_definition_runs_as_its_owner_with_nothing_of_root(
    home: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of root")
    path = owned(write(home, WHO, ".py"), nobody)
    assert ids(path) == f"{nobody.pw_uid} {nobody.pw_uid} {nobody.pw_gid} False None"
    ecosystem = load(path)
    assert (ecosystem.owner, ecosystem.owner_is_root) == ("nobody", False)


def test_so_does_the_bootstrap_of_an_app(home: Path, nobody: pwd.struct_passwd) -> None:
    text = WHO.replace("ecosystem(project='p', apps=[", "system(name='p', processes=[").replace("ecosystem", "system")
    owned(write(home, text, ".py", "bootstrap"), nobody)
    app = load(owned(write(home, shop({"name": "a", "bootstrap": "bootstrap.py"})), nobody)).apps[0]
    assert app.system and app.system.processes[0].env["IDS"].startswith(f"{nobody.pw_uid} ")


def test_a_definition_of_root_runs_as_root(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    assert ids(write(tmp_path, WHO, ".py")).startswith("0 0 0 ")
    assert load(write(tmp_path, SETTINGS)).owner_is_root


def test_without_root_a_definition_runs_as_who_asks(tmp_path: Path, as_nobody: None) -> None:
    path = write(tmp_path, WHO, ".py")
    path.chmod(0o666)
    assert ids(path).split()[1] == str(os.geteuid())


@pytest.mark.parametrize(("mode", "who"), [(0o664, "its group"), (0o646, "everybody"), (0o666, "everybody")])
@pytest.mark.parametrize("suffix", [".py", ".yaml"])
def test_a_file_that_others_can_write_is_refused(
    home: Path, nobody: pwd.struct_passwd, mode: int, who: str, suffix: str
) -> None:
    path = owned(write(home, WHO if suffix == ".py" else SETTINGS, suffix), nobody)
    path.chmod(mode)
    with pytest.raises(UntrustedPathError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot trust {path}: {path} can be written by {who}",
        f"as root, take that away first: chmod go-w {path}",
    ]
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_so_is_one_in_a_folder_that_others_can_write(tmp_path: Path, nobody: pwd.struct_passwd, mode: int) -> None:
    path = write(tmp_path / "a/b", SETTINGS)
    (tmp_path / "a").chmod(mode)
    with pytest.raises(UntrustedPathError, match=f"cannot trust {path}: {tmp_path}/a can be written by"):
        load(path)
    (tmp_path / "a").chmod(mode | 0o1000)
    assert load(path).owner_is_root


def test_so_is_one_that_the_owner_of_its_folder_could_replace(home: Path, nobody: pwd.struct_passwd) -> None:
    path = write(home, WHO, ".py")
    with pytest.raises(UntrustedPathError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot trust {path}: {home} can be written by nobody",
        f"as root, make root or the owner of the definition its owner: chown -h root {home}",
    ]
    os.chown(home, 12345, 0)
    with pytest.raises(UntrustedPathError, match="can be written by uid 12345"):
        load(owned(path, nobody))


def test_so_is_one_that_a_link_leads_to(home: Path, tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    write(home / "p", SETTINGS)
    (tmp_path / "link").symlink_to(home / "p")
    with pytest.raises(UntrustedPathError, match=f"{home} can be written by nobody"):
        load(tmp_path / "link/omnitron.config.yaml")
    link = tmp_path / "omnitron.config.yaml"
    link.symlink_to(write(tmp_path / "q", SETTINGS))
    assert load(link).owner_is_root
    with pytest.raises(UntrustedPathError, match=f"{link} can be written by nobody"):
        load(owned(link, nobody))


def test_so_are_the_files_of_an_app(home: Path, tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    write(home, {"name": "a", "processes": []}, stem="bootstrap").chmod(0o666)
    with pytest.raises(UntrustedPathError, match=r"cannot trust .*/bootstrap\.yaml"):
        load(write(tmp_path, shop({"name": "a", "bootstrap": "home/bootstrap.yaml"})))


def test_nothing_is_imported_from_a_folder_like_tmp(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    """Anybody could have laid a module there."""
    path = write(tmp_path / "t", WHO, ".py")
    owned(write(tmp_path / "t", "import os\nos._exit(7)\n", ".py", "omnitron"), nobody)
    (tmp_path / "t").chmod(0o1777)
    assert ids(path).startswith("0 ")


def test_an_owner_without_an_account_is_an_error(home: Path) -> None:
    path = write(home, WHO, ".py")
    for each in (home, path):
        os.chown(each, 12345, 12345)
    with pytest.raises(NotPermittedError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot use {path}: its owner, uid 12345, has no account",
        "chown it to the user that the apps shall run as",
    ]


@pytest.mark.parametrize("what", ["interpreter", "child"])
def test_an_interpreter_that_the_owner_cannot_read_is_an_error_with_its_cure(
    home: Path, tmp_path: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = owned(write(home, WHO, ".py"), nobody)
    hidden = tmp_path / "root"
    hidden.mkdir(mode=0o700)
    if what == "interpreter":
        (hidden / "python").symlink_to(sys.executable)
        monkeypatch.setattr(sys, "executable", str(hidden / "python"))
    else:
        shutil.copy(evaluate.CHILD, hidden)
        monkeypatch.setattr(evaluate, "CHILD", hidden / "evaluator.py")
    with pytest.raises(NotPermittedError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot evaluate {path} as its owner nobody: nobody may not run {sys.executable}",
        "install omnitron, and what it needs, where every user can read it: under /opt or /usr",
    ]


def test_an_owner_who_cannot_reach_the_definition_is_an_error(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    tmp_path.chmod(0o700)
    path = owned(write(tmp_path, WHO, ".py"), nobody)
    (found,) = problems(path)
    assert found.startswith("omnitron.config.py: cannot evaluate: PermissionError: [Errno 13] Permission denied")


def test_an_owner_who_ends_the_process_is_not_taken_for_that(home: Path, nobody: pwd.struct_passwd) -> None:
    path = owned(write(home, "import os\nos._exit(2)\n", ".py"), nobody)
    assert problems(path) == [
        "omnitron.config.py: cannot evaluate: it ended with status 2 before it had defined anything"
    ]


@pytest.mark.parametrize("suffix", [".yaml", ".py"])
def test_whose_a_definition_is_was_seen_when_it_was_read(
    home: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    """Its owner cannot put a link to a file of root in its place, and so pass for root."""
    text = WHO if suffix == ".py" else SETTINGS
    roots = write(tmp_path, text, suffix)
    path = owned(write(home, text, suffix), nobody)
    read = source.read_text

    def swapped(what: Path) -> source.Text:
        found = read(what)
        path.unlink()
        path.symlink_to(roots)
        return found

    monkeypatch.setattr(evaluate if suffix == ".py" else source, "read_text", swapped)
    ecosystem = load(path)
    assert path.stat().st_uid == 0
    assert (ecosystem.owner, ecosystem.owner_is_root, ecosystem.apps[0].is_roots_own) == ("nobody", False, False)
    if suffix == ".py":
        assert ecosystem.config.apps[0].env["IDS"].startswith(f"{nobody.pw_uid} {nobody.pw_uid} ")


def test_a_definition_of_root_that_somebody_else_could_swap_is_not_run(
    home: Path, nobody: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """His file is checked, a link to root's is read: what runs as root then would be his again."""
    roots = write(tmp_path, WHO, ".py")
    path = owned(write(home, WHO, ".py"), nobody)
    read = source.read_text

    def swapped(what: Path) -> source.Text:
        path.unlink()
        path.symlink_to(roots)
        return read(what)

    monkeypatch.setattr(evaluate, "read_text", swapped)
    with pytest.raises(UntrustedPathError):
        load(path)
