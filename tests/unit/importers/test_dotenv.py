"""Variables in compose files, and the two dialects of `.env` files."""

from pathlib import Path

import pytest

from omnitron.errors import DefinitionError
from omnitron.importers import dotenv
from omnitron.importers.compose.interpolate import substitute

FILE = Path(".env")
VALUES = {"A": "1", "EMPTY": "", "LONG_name_2": "x"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}", "1"),
        ("<$A$A>", "<11>"),
        ("$LONG_name_2.", "x."),
        ("$NOT", ""),
        ("$$A", "$A"),
        ("$$$A", "$1"),
        ("a $ b $5 $", "a $ b $5 $"),
        ("${NOT-d}", "d"),
        ("${NOT:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${EMPTY:-d}", "d"),
        ("${A:-d}", "1"),
        ("${A+d}", "d"),
        ("${NOT+d}", ""),
        ("${EMPTY:+d}", ""),
        ("${EMPTY+d}", "d"),
        ("${NOT:-${A}${EMPTY:-z}}y", "1zy"),
        ("${NOT:-a-b:?c}", "a-b:?c"),
        ("${A?no}", "1"),
        ("${NOT:-}", ""),
    ],
)
def test_substitution(text, wanted):
    assert substitute(text, VALUES.get) == wanted


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${5}", "${A!}", "${ A}", "${A:-${B}"])
def test_what_compose_refuses(text):
    with pytest.raises(ValueError, match=r"variable|one of"):
        substitute(text, VALUES.get)


@pytest.mark.parametrize(
    ("text", "why"), [("${NOT:?give it}", "give it"), ("${EMPTY:?$A}", "1"), ("${NOT?}", "no value")]
)
def test_a_required_variable(text, why):
    with pytest.raises(ValueError, match=why):
        substitute(text, VALUES.get)


def test_only_a_variable_without_a_default_counts_as_not_set():
    unset = []
    substitute("$NOT ${NOR} ${X:-1} ${Y+1} $A $EMPTY", VALUES.get, unset.append)
    assert unset == ["NOT", "NOR"]


def test_growth_is_bounded():
    with pytest.raises(ValueError, match="more than 4 MiB"):
        substitute("$A" * 100, {"A": "x" * 1_000_000}.get)


def test_foreman_file():
    text = 'A=1\r\nB=\'two $A\'\nC="x\\ny \\"z\\""\n# no\n\nD=a # b\nexport E=1\n F=1\nG = 1\nH=\'\nI=\n'
    variables, warnings = dotenv.foreman(FILE, text)
    values = {variable.name: variable.value for variable in variables}
    assert values == {"A": "1", "B": "two $A", "C": 'x\ny "z"', "D": "a # b", "H": "'", "I": ""}
    assert [warning.line for warning in warnings] == [7, 8, 9]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1\r\nB = 2", {"A": "1", "B": "2"}),
        ("A: 1", {"A": "1"}),
        ("A=1 # no\nB=1#yes", {"A": "1", "B": "1#yes"}),
        ("A='$B # x'", {"A": "$B # x"}),
        ('A=1\nB="$A ${C:-d}"', {"A": "1", "B": "1 d"}),
        ('A="x\\ny\\t\\"z\\" \\$B"', {"A": 'x\ny\t"z" $B'}),
        ("A='two\nlines'\nB=1", {"A": "two\nlines", "B": "1"}),
        ("A=$HOST", {"A": "h"}),
        ("HOST", {"HOST": "h"}),
        ("NOWHERE", {"NOWHERE": None}),
        ("A=\nB=", {"A": "", "B": ""}),
        ("# only\n\n", {}),
        ('A="x" # no', {"A": "x"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_compose_file(text, wanted):
    variables = dotenv.compose(FILE, text, {"HOST": "h"})
    assert {variable.name: variable.value for variable in variables} == wanted


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("A=1\n!x", 2, "not NAME=value"),
        ('\n\nA="x', 3, "is not closed"),
        ("a b c", 1, "not NAME"),
        ("A=${", 1, "variable"),
    ],
)
def test_a_compose_file_that_compose_refuses(text, line, why):
    with pytest.raises(DefinitionError, match=why) as caught:
        dotenv.compose(FILE, text, {})
    assert caught.value.problems[0].line == line


def test_what_a_unit_cannot_be_given():
    values, warnings = dotenv.usable(FILE, [dotenv.Variable(1, "A", "\x01"), dotenv.Variable(2, "a-b", "1")])
    assert values == {}
    assert [(warning.line, warning.path) for warning in warnings] == [(1, "A"), (2, "a-b")]
