"""References to secrets in text: `${secret:NAME}`, or `${secret:NAME|url}` for a part of a URL.

Imports almost nothing: the wrapper around a program runs this at every start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OPENING = "${secret:"
URL = "url"
"""Mark after a name: percent-encode every character that has a meaning in a URL."""
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def to(name: str, mark: str = "") -> str:
    """Return the reference to a secret."""
    return f"{OPENING}{name}{'|' + mark if mark else ''}}}"


def names_in(text: str) -> list[str]:
    """Return the names that `text` refers to, in order; ValueError for a reference that cannot be read."""
    names: list[str] = []

    def take(name: str) -> str:
        names.append(name)
        return ""

    fill(text, take)
    return names


def fill(text: str, value_of: Callable[[str], str]) -> str:
    """Return `text` with secrets in place of the references to them; ValueError for one that cannot be read."""
    head, *parts = text.split(OPENING)
    filled = [head]
    for part in parts:
        reference, brace, rest = part.partition("}")
        name, _, mark = reference.partition("|")
        if not brace or not name or mark not in ("", URL):
            raise ValueError(f"{OPENING}{reference}{brace} is not a valid reference: the form is ${{secret:NAME}}")
        value = value_of(name)
        filled += [_quoted(value) if mark == URL else value, rest]
    return "".join(filled)


def _quoted(text: str) -> str:
    return "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in text.encode())
