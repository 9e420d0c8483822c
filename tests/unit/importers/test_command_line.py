"""A shell's line becomes a command that does the same, and that SIGTERM reaches."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.importers.command_line import command

SH = "/bin/sh"


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("node server.js", ["node", "server.js"]),
        ("  bin/run   --name 'two words' ", ["bin/run", "--name", "two words"]),
        ('echo "a \\" b" c\\ d', ["echo", 'a " b', "c d"]),
        ("exec gunicorn app:app", ["gunicorn", "app:app"]),
        ("env A=1 node x.js", ["env", "A=1", "node", "x.js"]),
        ("node x.js # the server", ["node", "x.js"]),
        ("echo ''", ["echo", ""]),
        ("echo '$HOME'", ["echo", "$HOME"]),
        ("rake db:migrate --trace=1%", ["rake", "db:migrate", "--trace=1%"]),
    ],
)
def test_a_plain_program_needs_no_shell(line, argv):
    assert command(line).argv == argv
    assert not command(line).needs_group_kill


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("puma -p $PORT", "exec puma -p $PORT"),
        ("puma -p ${PORT:-5000}", "exec puma -p ${PORT:-5000}"),
        ("PORT=1 A='b c' node x", "PORT=1 A='b c' exec node x"),
        ("cd app && ./run", "cd app && exec ./run"),
        ("cd app && exec ./run", "cd app && exec ./run"),
        (". ./env.sh; A=1 ./run;", ". ./env.sh; A=1 exec ./run;"),
        ("run *.conf", "exec run *.conf"),
        ("run ~/x", "exec run ~/x"),
        ("run > log 2>&1", "exec run > log 2>&1"),
        (">log run", "exec >log run"),
        ('run "$(date "+%Y")" `id`', 'exec run "$(date "+%Y")" `id`'),
        ("'odd program' $X", "exec 'odd program' $X"),
        ("--odd", "exec --odd"),
    ],
)
def test_exec_puts_the_program_in_the_place_of_the_shell(line, script):
    assert command(line).argv == [SH, "-c", script]
    assert not command(line).needs_group_kill


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("migrate && serve", "migrate && exec serve"),
        ("a || b; c", "a || b; exec c"),
        ("a | b && c", "a | b && exec c"),
    ],
)
def test_a_program_that_runs_before_the_last_one_is_signalled_too(line, script):
    assert command(line).argv == [SH, "-c", script]
    assert command(line).needs_group_kill


@pytest.mark.parametrize(
    "line",
    [
        "a | tee log",
        "a && b || c",
        "a & b",
        "a &",
        "(cd x; b)",
        "{ a; b; }",
        "if a; then b; fi",
        "while true; do a; done",
        "for x in 1 2; do a; done",
        "! a",
        "cd x",
        "A=1",
        "exit 1",
        "trap 'echo bye' EXIT; server",
        "a ; ; b",
        "case x in x) a;; esac",
        "f() { a; }; f",
        "'exec' foo $X",
    ],
)
def test_where_the_shell_must_stay_systemd_signals_all(line):
    result = command(line)
    assert result.needs_group_kill or line == "'exec' foo $X"
    assert result.argv == [SH, "-c", line]


@pytest.mark.parametrize("line", ["echo 'a", 'echo "a', "echo `a", "echo $(a", "echo ${a", 'echo "$(a"'])
def test_quotes_that_do_not_match_are_an_error(line):
    with pytest.raises(ValueError, match="is not closed"):
        command(line)


def test_a_program_in_a_path_of_its_own_needs_a_shell_to_find_it():
    assert command("node x", own_path=True).argv == [SH, "-c", "exec node x"]
    assert command("./node x", own_path=True).argv == ["./node", "x"]


@pytest.mark.parametrize(
    "line",
    [
        "printf '%s|' a 'b  c' \"d $A\" e\\ f",
        "A=2 sh -c 'echo $A'",
        "echo one && echo two; echo three",
        "echo b | tr b c | cat",
        "false || echo yes",
        "cd / && pwd",
        "echo $((1 + 2)) ${A#x} \"$(echo 'a)b' | cat)\" `echo c`",
        'printf "%s\\n" "a\\\\b" \'c\\d\' e\\\\f',
        "if true; then echo y; fi # z",
        "echo a >/dev/stderr 2>&1",
        "echo 'a # b' c#d # e",
        'echo "a`echo b`c" "${B:-d e}"',
    ],
)
def test_the_command_does_what_the_line_does(line):
    def output(argv):
        return subprocess.run(argv, env={"A": "x1", "PATH": os.environ["PATH"]}, capture_output=True, check=False)

    wanted, found = output([SH, "-c", line]), output(command(line).argv)
    assert (found.returncode, found.stdout, found.stderr) == (wanted.returncode, wanted.stdout, wanted.stderr)


WORDS = st.lists(st.text(alphabet="ab $\"'\\#*~=;|&%\té", max_size=6), min_size=1, max_size=4)


@given(words=WORDS)
def test_quoted_words_come_back_as_they_were(words):
    import shlex

    line = shlex.join(["./run", *words])
    assert command(line).argv == ["./run", *words]


@given(text=st.text(alphabet="ab$\"'\\#;|&(){}<>`! \n=", max_size=20))
def test_any_text_is_a_command_or_an_error(text):
    try:
        result = command(text)
    except ValueError:
        return
    assert result.argv[0] == SH or result.argv


LINGERS = "import signal, sys, time; signal.signal(15, lambda *_: (open('{file}', 'w').close(), sys.exit(0))); "


@pytest.mark.parametrize("line", ["python3 {program}", "A=$B python3 {program}", "cd / && exec python3 {program}"])
def test_sigterm_reaches_the_program(tmp_path, line):
    ready, done = tmp_path / "ready", tmp_path / "done"
    program = tmp_path / "program.py"
    # Short sleeps: a signal that comes just before one begins is dealt with after it.
    program.write_text(LINGERS.format(file=done) + f"open({str(ready)!r}, 'w').close()\nwhile True: time.sleep(0.1)")
    child = subprocess.Popen(command(line.format(program=program)).argv, start_new_session=True)
    try:
        wait_for(ready)
        # Only the main process is told, as KillMode=mixed does.
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(timeout=10) == 0
        assert done.exists()
    finally:
        child.kill()
        child.wait()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
