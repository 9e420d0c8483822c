from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitron.planner.units.values import Assignment, Bind, Command, Literal, Own, Value, Word
from omnitron.render import escape
from omnitron.render.escape import UnsayableError, lines
from omnitron.render.unitfile import split_words
from tests.support.unit_reader import reads_back

NASTY = "\n\r\t\x01\x1b\x7f\x85\u2028%$\\\"'`[]=;#:{}()<>*?&|!-+@~^, ./azAZ09é漢\U0001f600"
text = st.text(st.sampled_from(NASTY) | st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
program = st.text(st.sampled_from(NASTY) | st.characters(exclude_categories=("Cs",)), max_size=9)


@given(text)
def test_a_word_reads_back(said: str) -> None:
    assert split_words(escape.word(said)) == [said]


@given(st.lists(text, max_size=5))
def test_words_stay_apart(said: list[str]) -> None:
    assert split_words(" ".join(map(escape.word, said))) == said


@given(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), text)
def test_an_assignment_reads_back(name: str, said: str) -> None:
    (line,) = lines(Assignment(name, said)) or ()
    assert split_words(line) == [f"{name}={said}"]


@given(st.lists(text | text.map(Own), max_size=5), st.sampled_from(["", "-+"]))
def test_a_command_reads_back(said: list[str | Own], prefix: str) -> None:
    own = [Own("%n") if isinstance(word, Own) else word for word in said]
    command = Command(("/bin/x", *own), prefix)
    (line,) = lines(command) or ()
    assert reads_back(command, line)


@given(text)
def test_what_is_written_is_one_line(said: str) -> None:
    for value in (Word(said), Assignment("A", said), Command(("/x", said)), Literal(said), Bind(said)):
        try:
            (line,) = lines(value) or ()
        except UnsayableError:
            continue
        assert not set("\n\r\0") & set(line)
        assert not line.endswith("\\")
        assert reads_back(value, line)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        (True, ("yes",)),
        (False, ("no",)),
        (7, ("7",)),
        ("%i as it is", ("%i as it is",)),
        (("a", True, Word("b c")), ("a", "yes", '"b c"')),
        ((), ()),
        (Literal("50% of 'it'"), ("50%% of 'it'",)),
        (Word("plain/word:1.2,3=4@5+6-7_8"), ("plain/word:1.2,3=4@5+6-7_8",)),
        (Word("a b"), ('"a b"',)),
        (Word(""), ('""',)),
        (Word(";"), ('";"',)),
        (Word("50%"), ('"50%%"',)),
        (Word("~x"), ('"~x"',)),
        (Word('\\ " \n \t \r \x01 \x7f é'), (r'"\\ \" \n \t \r \x01 \x7f é"',)),
        (Assignment("A", "b"), ('"A=b"',)),
        (Assignment("A", "$HOME %h"), ('"A=$HOME %%h"',)),
        (Bind("/a/b"), ("/a/b",)),
        (Bind("/a:b"), ('"/a:b"',)),
        (Bind("/a b%c"), ('"/a b%%c"',)),
        (Command(("/x", "a")), ("/x a",)),
        (Command(("/x", "$a", "%b")), (':/x "$a" "%%b"',)),
        (Command(("/x", Own("%n")), "-+"), ("-+/x %n",)),
        (Command(("/x", "$", Own("%n")), "-+"), ('-+:/x "$" %n',)),
        (Command(("/a b/x",)), ('"/a b/x"',)),
    ],
)
def test_how_values_are_written(value: Value, written: tuple[str, ...] | None) -> None:
    assert lines(value) == written


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Literal(" a"), "it begins or ends with white space, or ends with a backslash"),
        (Literal("a\u00a0"), "it begins or ends with white space, or ends with a backslash"),
        (Literal("a\\"), "it begins or ends with white space, or ends with a backslash"),
        (Literal("a\nb"), "it contains a control character"),
        (Literal("a\x7fb"), "it contains a control character"),
        (Bind('/a"b'), "it contains a quote, a backslash or a control character"),
        (Bind("/a\\b"), "it contains a quote, a backslash or a control character"),
        (Bind("/a\tb"), "it contains a quote, a backslash or a control character"),
        (Command(("/a'b",)), "the path of a program cannot contain a quote or a backslash"),
        (Command(('/a"b', "x")), "the path of a program cannot contain a quote or a backslash"),
        (Command(("/a\\b",)), "the path of a program cannot contain a quote or a backslash"),
        (Literal("\udcff"), "it is not valid Unicode"),
        (Word("\udcff"), "it is not valid Unicode"),
        (Assignment("A", "x" * (1 << 20)), "it is longer than a line that systemd can read"),
        ((Word("a"), Literal("\n b")), "it begins or ends with white space, or ends with a backslash"),
    ],
)
def test_what_a_unit_file_cannot_say_is_refused(value: Value, why: str) -> None:
    with pytest.raises(UnsayableError) as caught:
        lines(value)
    assert caught.value.brief.endswith(f" into a unit file: {why}")
    assert caught.value.exit_code == 3
    assert len(caught.value.brief) < 200


@given(program)
def test_a_program_is_written_as_itself_or_refused(said: str) -> None:
    command = Command((f"/{said}", "x"))
    try:
        (line,) = lines(command) or ()
    except UnsayableError:
        return
    assert reads_back(command, line)
    assert not set(said) & set("\"'\\")


def test_a_tuple_in_a_tuple_is_no_value() -> None:
    with pytest.raises(TypeError, match="not a single value"):
        lines((("a",),))
