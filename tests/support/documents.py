"""The documents as a test reads them: links, anchors, files to write, commands and what those print.

A `console` block holds commands (`$ …`) and their output. A command may end with a comment that documents its exit
status (`# exit status 2`). `^C` is where the reader interrupts it, after a few seconds. `…` in output
stands for any text, on a line of its own for any lines. A block that no test can run is a `console no-run`,
and an HTML comment before it has the reason. Any other block is a file when the line before it ends with the file's
name in backticks and a colon: "`omnitron.config.yaml`:".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> {0,3})```(?P<info>[^`]*)$")
_FILE = re.compile(r"`(?P<name>[^`\s]+)`:$")
_STATUS = re.compile(r"\s+# exit status (?P<status>\d+)$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(?P<text>.*?)\s*$")
_NO_RUN = "console no-run"
CTRL_C = "^C"
ANY_LINES = "…"


@dataclass
class Command:
    """A command of a document, its output there, and where it is."""

    text: str
    line: int
    output: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status that the document names, 0 if it names none."""
        found = _STATUS.search(self.text)
        return int(found["status"]) if found else 0

    @property
    def interrupted(self) -> bool:
        """Whether it runs until Ctrl-C."""
        return CTRL_C in self.output


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str
    line: int


@dataclass(frozen=True)
class Block:
    """A fenced block: its info words, its lines, the number of its first line, and the text before it."""

    info: str
    lines: tuple[str, ...]
    line: int
    before: str


def documents() -> list[Path]:
    """Return README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    number = 0
    before = ""
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            before = lines[number].strip() or before
            number += 1
            continue
        first = number + 1
        last = first
        while last < len(lines) and lines[last].strip() != "```":
            last += 1
        if last == len(lines):
            raise ValueError(f"line {number + 1}: the block has no end")
        indent = len(fence["indent"])
        found.append(
            Block(fence["info"].strip(), tuple(line[indent:] for line in lines[first:last]), first + 1, before)
        )
        number, before = last + 1, ""
    return found


def steps(text: str) -> Iterator[Command | File]:
    """Yield what the reader of a document does, in order: write a file, run a command."""
    for block in blocks(text):
        if block.info == "console":
            yield from commands(block)
        elif block.info.partition(" ")[0] != "console" and (name := _FILE.search(block.before)):
            yield File(name["name"], "\n".join(block.lines) + "\n", block.line)


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block; a line that ends with a backslash goes on with `> `."""
    found: list[Command] = []
    continues = False
    for number, line in enumerate(block.lines, block.line):
        if continues:
            found[-1].text += "\n" + line.removeprefix("> ")
            continues = line.endswith("\\")
        elif line.startswith("$ "):
            found.append(Command(line.removeprefix("$ "), number))
            continues = line.endswith("\\")
        elif found:
            found[-1].output.append(line)
        else:
            raise ValueError(f"line {number}: output without a command")
    return found


def skipped(text: str) -> list[tuple[Block, str]]:
    """Return the blocks that no test runs, each with its reason: empty where none is written."""
    found = []
    for block in blocks(text):
        if block.info == _NO_RUN:
            reason = re.search(r"<!--\s*(.*?)\s*-->$", block.before)
            found.append((block, reason[1] if reason else ""))
    return found


def links(text: str) -> list[str]:
    """Return the targets of all links of a document, those of other hosts left out."""
    prose = _without_code(text)
    return [found["target"] for found in _LINK.finditer(prose) if "://" not in found["target"]]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as the usual web pages of a repository make them."""
    made: set[str] = set()
    for line in _without_blocks(text).splitlines():
        heading = _HEADING.match(line)
        if heading:
            words = re.sub(r"[^\w\- ]", "", heading["text"].replace("`", "").lower())
            anchor = base = words.replace(" ", "-")
            count = 0
            while anchor in made:
                count += 1
                anchor = f"{base}-{count}"
            made.add(anchor)
    return made


def _without_blocks(text: str) -> str:
    return re.sub(r"^ {0,3}```.*?^ {0,3}```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "code", _without_blocks(text))


def matches(shown: list[str], printed: list[str]) -> bool:
    """Return whether printed lines are those that a document shows, numbers, sizes and widths aside."""
    shown = [line for line in map(_plain, shown) if line.strip()]
    printed = [line for line in map(_plain, printed) if line.strip()]
    patterns = [None if line.strip() in (ANY_LINES, CTRL_C) else line_pattern(line) for line in shown]
    return _match(patterns, printed)


def _plain(line: str) -> str:
    """Leave out bars that draw figures over time, and make one word of a span of time such as `1m 20s`."""
    return re.sub(r"\b\d+[dhm] (?=\d+[hms]\b)", "", re.sub(r"[▁▂▃▄▅▆▇█]+", "", line))


def _match(patterns: list[re.Pattern[str] | None], lines: list[str]) -> bool:
    """Return whether all lines are matched, in order; None matches any number of them."""
    reachable = {0}
    for pattern in patterns:
        if pattern is None:
            reachable = set(range(min(reachable, default=len(lines) + 1), len(lines) + 1))
        else:
            reachable = {at + 1 for at in reachable if at < len(lines) and pattern.fullmatch(lines[at].strip())}
    return len(lines) in reachable


def line_pattern(line: str) -> re.Pattern[str]:
    """Return what a line of output must look like: its words, with numbers and quantities left open."""
    return re.compile(r"\s+".join(_word(word) for word in line.split()))


_QUANTITY = re.compile(r"[(]?[+-]?\d[\d.,:]*(%|[KMGT]?B?|ms|s|min|h|d)?[).,;:]*")
_ANY_QUANTITY = r"(?:\S*\d\S*|-)"


def _word(word: str) -> str:
    """Return the pattern of one word."""
    if word == "…":
        return ".*"
    if _QUANTITY.fullmatch(word):
        return _ANY_QUANTITY
    pattern = ""
    for part in re.split(r"(\d[\d.]*|…)", word):
        if part == "…":
            pattern += r"\S*"
        elif part[:1].isdigit():
            pattern += r"\d[\d.]*"
        else:
            pattern += re.escape(part)
    return pattern
