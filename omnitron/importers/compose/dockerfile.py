"""Reads the program of an image from its Dockerfile: ENTRYPOINT, CMD and WORKDIR of the last or a named stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*\S)", re.DOTALL)
HEREDOC = re.compile(r"<<-?[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?")
FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+[Aa][Ss]\s+(\S+))?")
SHELL = ["/bin/sh", "-c"]


@dataclass(frozen=True)
class Image:
    """The program of an image; None for a part that it does not set."""

    entrypoint: list[str] | None = None
    command: list[str] | None = None
    folder: str | None = None


def read(text: str, target: str | None = None) -> Image:
    """Return the program of the stage `target`, or of the last stage. That of a base image is not known."""
    stages: dict[str, Image] = {}
    name, image = "", Image()
    for instruction, argument in _instructions(text):
        if instruction == "FROM":
            if target and name == target.lower():
                break
            match = FROM.match(argument)
            base, alias = (match[1], match[2]) if match else ("", None)
            image, name = stages.get(base.lower(), Image()), (alias or str(len(stages))).lower()
        else:
            image = _after(image, instruction, argument)
        stages[name] = image
    return stages.get(target.lower(), Image()) if target else image


def _after(image: Image, instruction: str, argument: str) -> Image:
    if instruction == "ENTRYPOINT":
        # ENTRYPOINT resets CMD: an earlier one was for another program.
        return replace(image, entrypoint=_argv(argument), command=None)
    if instruction == "CMD":
        return replace(image, command=_argv(argument))
    if instruction == "WORKDIR":
        folder = argument.strip("\"'")
        return replace(image, folder=folder if folder.startswith("/") else f"{image.folder or ''}/{folder}")
    return image


def _argv(argument: str) -> list[str]:
    try:
        words = json.loads(argument)
    except (ValueError, RecursionError):
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    return [*SHELL, argument]


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for first in lines:
        line = first
        if line.lstrip().startswith("#"):
            continue
        while line.rstrip().endswith("\\"):
            line = line.rstrip()[:-1] + _continuation(lines)
        for mark in HEREDOC.findall(line):
            for inner in lines:
                if inner.strip() == mark:
                    break
        if match := INSTRUCTION.fullmatch(line.rstrip()):
            yield match[1].upper(), match[2]


def _continuation(lines: Iterator[str]) -> str:
    return next((line for line in lines if not line.lstrip().startswith("#")), "")
