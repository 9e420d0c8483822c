"""What is written reads back as what was meant, comments or not."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitron.importers import emit
from omnitron.importers.document import Entry

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    TEXT
    | st.integers(-(2**64), 2**64)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["yes", "No", "null", "~", "1:30", "0x1", "1e3", "=", "<<", "- a", "a: b", "# c", "", " ", "2024-01-01"]
    )
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3).map(Entry),
    max_leaves=12,
)


def entries(data):
    if isinstance(data, Entry):
        yield data
    for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from entries(inner)


@settings(deadline=None)
@given(data=st.dictionaries(TEXT, DATA, min_size=1, max_size=4).map(Entry), comment=st.text(), on_key=st.booleans())
def test_any_definition_reads_back(data, comment, on_key):
    for entry in entries(data):
        entry.comment(comment, next(iter(entry), None) if on_key else None)
    text = emit.document(data)
    assert yaml.safe_load(text) == yaml.load(text, Loader) == data


def test_the_layout():
    app = Entry(name="web", command=["node", "a b"])
    app.comment("about the app", "name")
    app.comment("about the command\nin two lines", "command")
    app.comment("left: behind")
    other = Entry(name="x", env=Entry(A="1"))
    definition = Entry(project="p", apps=[app, other], empty=Entry(), none=[])
    definition.comment("a heading", "project")
    assert emit.document(definition).splitlines() == [
        "# a heading",
        "project: p",
        "",
        "apps:",
        "  # about the app",
        "  - name: web",
        "    # about the command",
        "    # in two lines",
        "    command: [node, a b]",
        "    # left: behind",
        "",
        "  - name: x",
        "    env:",
        "      A: '1'",
        "",
        "empty: {}",
        "",
        "none: []",
    ]


def test_a_comment_cannot_break_out_of_its_line():
    entry = Entry(a="b")
    entry.comment("x\r\x85\u2028\x1b[31m\ud800y", "a")
    assert emit.document(entry) == "# x\\r\\x85\\u2028\\x1b[31m\\ud800y\na: b\n"


def test_a_definition_that_omnitron_would_not_read_is_refused():
    entry = Entry((f"k{number}", "x" * 500_000) for number in range(10))
    with pytest.raises(emit.DefinitionTooLargeError, match="larger than 4 MiB"):
        emit.document(entry)
