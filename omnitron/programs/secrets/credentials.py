"""The credentials of a service: the secrets that systemd passes to it.

Standard library only: the wrapper around a program and the process host both use it.
"""

from __future__ import annotations

import os

from omnitron.secrets.references import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class MissingError(Exception):
    """A secret that is missing, or is not text."""


def read(name: str) -> str:
    """Return the secret `name` of this service; MissingError without it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    try:
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:  # noqa: PTH118, PTH123
            return file.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MissingError(f"cannot read the secret {name!r}: {why}; is it set? omnitron secret list") from error


def environment(templates: Mapping[str, str]) -> dict[str, str]:
    """Return variables with their references filled in."""
    return {variable: fill(template, read) for variable, template in templates.items()}
