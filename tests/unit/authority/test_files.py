"""Root acts on root's definitions and on those of whom root trusts: the latter are evaluated as their owner."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitron.authority import files
from omnitron.authority.files import UnnamedDefinitionError, UntrustedFileError
from omnitron.definition import lookup, source
from omnitron.definition.loader import load
from omnitron.definition.python import evaluate
from omnitron.errors import NotPermittedError, OmnitronError
from tests.support.build import problems, shop, write
from tests.support.folders import open_up

IDS = "f'{os.getuid()} {os.geteuid()} {os.getgid()} {len(os.getgroups()) > 1} {os.environ.get(\"SECRET\")}'"
WHO = f"""
import os
from omnitron import define_ecosystem
it = define_ecosystem(project='p', apps=[dict(name='a', user='www-data', command=['x'], env=dict(IDS={IDS}))])
"""
SETTINGS = shop({"name": "a"})

Trust = Callable[[Path], None]


@pytest.fixture
def foreign(nobody: pwd.struct_passwd, tmp_path: Path) -> Path:
    """A folder of another user, which that user can reach."""
    open_up(tmp_path)
    path = tmp_path / "home"
    path.mkdir()
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return path


@pytest.fixture
def home(foreign: Path, trust: Trust) -> Path:
    """The same, which root has trusted."""
    trust(foreign)
    return foreign


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
    with pytest.raises(UntrustedFileError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot act as root on {path}: it can be written by {who} (owner nobody, mode {mode:04o})",
        f"chmod go-w {path}",
    ]
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_so_is_one_in_a_folder_that_others_can_write(tmp_path: Path, nobody: pwd.struct_passwd, mode: int) -> None:
    path = write(tmp_path / "a/b", SETTINGS)
    (tmp_path / "a").chmod(mode)
    with pytest.raises(UntrustedFileError, match=f"cannot act as root on {path}: {tmp_path}/a can be written by"):
        load(path)
    (tmp_path / "a").chmod(mode | 0o1000)
    assert load(path).owner_is_root


def test_what_is_another_users_is_refused_with_the_cures(foreign: Path, nobody: pwd.struct_passwd) -> None:
    path = owned(write(foreign, WHO, ".py"), nobody)
    with pytest.raises(UntrustedFileError) as caught:
        load(path)
    assert caught.value.lines() == [
        f"cannot act as root on {path}: it belongs to nobody (mode 0644)",
        f"chown -R root: {foreign}",
        f"or omnitron trust {foreign}: nobody is then as good as root on this host",
        "or run omnitron as nobody, with --user: in nobody's own manager, with no rights but nobody's",
    ]
    assert caught.value.exit_code == 5


def test_so_is_what_the_owner_of_its_folder_could_replace(foreign: Path, nobody: pwd.struct_passwd) -> None:
    path = write(foreign / "p", WHO, ".py")
    with pytest.raises(UntrustedFileError) as caught:
        load(path)
    assert caught.value.lines()[:2] == [
        f"cannot act as root on {path}: {foreign} belongs to nobody (mode 0755)",
        f"move {foreign}/p to where only root can write, such as /srv",
    ]


def test_trust_holds_for_its_owner_alone(home: Path, nobody: pwd.struct_passwd) -> None:
    path = owned(write(home, SETTINGS), nobody)
    assert load(path).owner == "nobody"
    os.chown(path, 12345, 0)
    with pytest.raises(UntrustedFileError, match="belongs to uid 12345"):
        load(path)
    os.chown(path, nobody.pw_uid, 0)
    os.chown(home, 12345, 0)
    with pytest.raises(UntrustedFileError, match=f"{path}: it belongs to nobody"):
        load(path)


def test_trust_is_for_what_a_path_leads_to(home: Path, tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    """A link in a trusted folder makes nothing trusted that it leads to."""
    other = tmp_path / "other"
    other.mkdir()
    owned(write(other, SETTINGS), nobody)
    link = home / "omnitron.config.yaml"
    link.symlink_to(other / "omnitron.config.yaml")
    with pytest.raises(UntrustedFileError, match="belongs to nobody"):
        load(owned(link, nobody))


def test_a_link_of_somebody_elses_is_refused(foreign: Path, tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    write(foreign / "p", SETTINGS)
    (tmp_path / "link").symlink_to(foreign / "p")
    with pytest.raises(UntrustedFileError, match=f"{foreign} belongs to nobody"):
        load(tmp_path / "link/omnitron.config.yaml")
    link = tmp_path / "omnitron.config.yaml"
    link.symlink_to(write(tmp_path / "q", SETTINGS))
    assert load(link).owner_is_root
    with pytest.raises(UntrustedFileError) as caught:
        load(owned(link, nobody))
    assert caught.value.lines()[1] == f"chown -h root {link}"


@pytest.mark.parametrize("file", ["bootstrap.yaml", "config/default.json"])
def test_every_file_that_is_read_must_pass(tmp_path: Path, nobody: pwd.struct_passwd, file: str) -> None:
    bootstrap = write(tmp_path, {"name": "a", "processes": [{"name": "m", "command": ["x"]}]}, stem="bootstrap")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.json").write_text("{}")
    path = write(tmp_path, shop({"name": "a", "bootstrap": bootstrap.name}))
    assert load(path).owner_is_root
    owned(tmp_path / file, nobody)
    with pytest.raises(UntrustedFileError, match=f"{file}: it belongs to nobody"):
        load(path)


IMPORTS = """
import helper
from omnitron import define_ecosystem
it = define_ecosystem(project='p', apps=[dict(name='a', user='www-data', command=['x'], env=dict(X=helper.X))])
"""
READS = IMPORTS.replace("import helper", "import pathlib").replace(
    "helper.X", "pathlib.Path(__file__).with_name('helper.py').read_text()"
)


@pytest.mark.parametrize("text", [IMPORTS, READS])
def test_so_must_what_a_python_definition_imports_and_reads(
    tmp_path: Path, nobody: pwd.struct_passwd, text: str
) -> None:
    path = write(tmp_path, text, ".py")
    helper = write(tmp_path, "X = 'x'\n", ".py", "helper")
    assert load(path).config.apps[0].env["X"].strip(" X='\n") == "x"
    helper.chmod(0o666)
    with pytest.raises(UntrustedFileError, match=f"{helper}: it can be written by everybody"):
        load(path)
    helper.chmod(0o644)
    owned(helper, nobody)
    with pytest.raises(UntrustedFileError, match=f"{helper}: it belongs to nobody"):
        load(path)


def test_a_folder_must_pass_with_all_that_is_in_it(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    (tmp_path / "conf/d").mkdir(parents=True)
    (tmp_path / "conf/nothing").symlink_to("/nowhere")
    (tmp_path / "conf/d/above").symlink_to("..")
    (tmp_path / "conf/d/own.conf").write_text("")
    files.check_tree(tmp_path / "conf")
    files.check_tree(tmp_path / "away")
    owned(tmp_path / "conf/d/own.conf", nobody)
    with pytest.raises(UntrustedFileError, match=r"own\.conf: it belongs to nobody"):
        files.check_tree(tmp_path / "conf")


@pytest.mark.parametrize("target", ["empty", "elsewhere", "missing", "/tmp/omnitron-nobody-has-made-this"])
def test_nobody_else_can_put_a_file_in_it(tmp_path: Path, nobody: pwd.struct_passwd, target: str) -> None:
    """By a folder that is empty as yet, behind a link, or as what a link leads to."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "elsewhere").mkdir()
    if target == "empty":
        owned(tmp_path / "elsewhere", nobody).rename(tmp_path / "conf/empty")
    else:
        path = tmp_path / "elsewhere/file" if target == "missing" else tmp_path / target
        (tmp_path / "conf/link").symlink_to(path)
        if target[0] != "/":
            files.check_tree(tmp_path / "conf")
        owned(tmp_path / "elsewhere", nobody)
    with pytest.raises(UntrustedFileError):
        files.check_tree(tmp_path / "conf")


def test_each_link_of_a_chain_counts(tmp_path: Path, foreign: Path, nobody: pwd.struct_passwd) -> None:
    """Whoever owns the link in the middle decides where the first one leads."""
    path = write(tmp_path / "p", SETTINGS)
    (tmp_path / "direct").symlink_to(path.parent)
    assert load(tmp_path / "direct" / path.name).owner_is_root
    (foreign / "middle").symlink_to("../p")
    (tmp_path / "first").symlink_to("home/middle")
    with pytest.raises(UntrustedFileError, match=f"{foreign} belongs to nobody"):
        load(tmp_path / "first" / path.name)


def test_a_damaged_record_of_trust_does_not_stop_roots_own(
    home: Path, trusted_d: Path, tmp_path: Path, nobody: pwd.struct_passwd
) -> None:
    for file in trusted_d.iterdir():
        file.write_text("{")
    assert load(write(tmp_path, SETTINGS)).owner_is_root
    with pytest.raises(OmnitronError, match="is damaged"):
        load(owned(write(home, SETTINGS), nobody))


def test_what_is_found_above_is_used_where_root_alone_can_write(
    tmp_path: Path, foreign: Path, nobody: pwd.struct_passwd
) -> None:
    path = write(tmp_path / "t", SETTINGS)
    below = tmp_path / "t/x/y"
    below.mkdir(parents=True)
    assert lookup.find(None, below) == path
    (tmp_path / "t").chmod(0o1777)
    with pytest.raises(UnnamedDefinitionError) as caught:
        lookup.find(None, below)
    assert caught.value.lines() == [
        f"cannot use {path}, found above {below}: it belongs to root (mode 0644), and {tmp_path}/t can be written by "
        "everybody (owner root, mode 1777)",
        f"if it is the one that you mean, name it: --config {path}",
    ]
    assert lookup.find(path, below) == path
    assert lookup.find(None, tmp_path / "t") == path


def test_what_a_definition_prints_cannot_act_on_the_terminal(
    tmp_path: Path, nobody: pwd.struct_passwd, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "import os\nos.write(1, b'\\x1b]0;x\\x07 \\xff ok\\n')\nprint('z' * 100_000)\n" + WHO, ".py")
    load(path)
    printed = capsys.readouterr().err
    assert printed.startswith("\\x1b]0;x\\x07 \\xff ok\nzzz")
    assert len(printed) < 70_000 and printed.endswith("(more was printed)\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [("x = bytearray(4 << 30)", "MemoryError"), ("import os\nfor _ in range(500):\n    os.fork() or os._exit(0)", "")],
)
def test_memory_and_processes_of_a_definition_have_limits(
    home: Path, nobody: pwd.struct_passwd, text: str, why: str
) -> None:
    text = text if why else text.replace("os.fork() or os._exit(0)", "os.fork() or __import__('time').sleep(30)")
    found = problems(owned(write(home, text, ".py"), nobody))
    assert (why or "BlockingIOError") in found[0]


def test_nothing_is_imported_from_a_folder_like_tmp(tmp_path: Path, nobody: pwd.struct_passwd) -> None:
    """Anybody could have laid a module there."""
    path = write(tmp_path / "t", WHO, ".py")
    owned(write(tmp_path / "t", "import os\nos._exit(7)\n", ".py", "omnitron"), nobody)
    (tmp_path / "t").chmod(0o1777)
    assert ids(path).startswith("0 ")


def test_an_owner_without_an_account_is_an_error(home: Path, trust: Trust) -> None:
    path = write(home, WHO, ".py")
    for each in (home, path):
        os.chown(each, 12345, 12345)
    trust(home)
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


def test_an_owner_who_cannot_reach_the_definition_is_an_error(
    tmp_path: Path, nobody: pwd.struct_passwd, trust: Trust
) -> None:
    path = owned(write(tmp_path / "p", WHO, ".py"), nobody)
    trust(owned(tmp_path / "p", nobody))
    tmp_path.chmod(0o700)
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
    if suffix == ".py":
        with pytest.raises(UntrustedFileError, match="belongs to nobody"):
            load(path)
    else:
        ecosystem = load(path)
        assert path.stat().st_uid == 0
        assert (ecosystem.owner, ecosystem.owner_is_root, ecosystem.apps[0].owner) == ("nobody", False, nobody.pw_uid)


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
    with pytest.raises(UntrustedFileError):
        load(path)
