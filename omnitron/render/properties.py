"""The `[Service]` of a planned unit as properties on the bus, for a transient unit with the same environment.

Only identity, environment, sandbox and limits are translated; directives for supervision (commands, restarts,
timeouts, output) are left out. Names of directives come from the template.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from omnitron.planner.units.values import Assignment, Bind, Literal, Unit, Value, Word
from omnitron.render.templates import environment
from omnitron.render.unitfile import split_words

TEMPLATE_LINE = re.compile(r"^(\w+)=\{\{ (\w+) \}\}$", re.MULTILINE)
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SPECIFIER = re.compile(r"%(?!%)")
RECURSIVE = 16384
"""MS_REC: a bind mount includes the mounts below it."""

INFINITY = (1 << 64) - 1
SIZES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct "
    "sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap "
    "mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
)
"""In the order of their numbers, from 0 (linux/capability.h)."""

NAMESPACES = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}

SUPERVISION = re.compile(
    r"Type|NotifyAccess|Sockets|Restart\w*|SuccessExitStatus|Kill\w+|\w+KillSignal|Send\w+|FinalKillSignal|Timeout\w+"
    r"|Exec(Start|Stop|Reload|Condition)\w*|Standard\w+|TTY\w+|Syslog\w+|LogLevelMax|LogRateLimit\w+|LogExtraFields"
    r"|Watchdog\w+|RuntimeMaxSec|RuntimeRandomizedExtraSec|RemainAfterExit|GuessMainPID|PIDFile|BusName|NonBlocking"
    r"|FileDescriptor\w+|OOMPolicy|RuntimeDirectoryPreserve|ExitType|Reload\w+|X-.*"
)
"""Directives for the supervision of a service, which do not apply to a one-off command."""


class Property(NamedTuple):
    """One property of a unit: its name, its D-Bus signature, its value."""

    name: str
    signature: str
    value: Any


@dataclass(frozen=True)
class Kind:
    """The conversion of the texts of a directive to a property."""

    signature: str
    convert: Callable[[list[str]], Any]
    is_list: bool = False
    """True if one text can contain several words."""


def _flag(texts: list[str]) -> bool:
    values = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
    if texts[-1].lower() not in values:
        raise ValueError(texts[-1])
    return values[texts[-1].lower()]


def _text(texts: list[str]) -> str:
    return texts[-1]


def _number(texts: list[str]) -> int:
    return INFINITY if texts[-1] == "infinity" else int(texts[-1])


def _quantity(text: str, units: dict[str, int]) -> int:
    match = re.fullmatch(r"(\d+) ?([A-Za-z]*)", text)
    if match is None or match[2] not in units:
        raise ValueError(text)
    return int(match[1]) * units[match[2]]


def _size(texts: list[str]) -> int:
    return INFINITY if texts[-1] == "infinity" else _quantity(texts[-1], SIZES)


def _percent(texts: list[str]) -> int:
    return int(texts[-1].removesuffix("%")) * 10_000


def _listed(texts: list[str]) -> list[str]:
    return [text for text in texts if text]


def _assignments(texts: list[str]) -> list[str]:
    """Return the texts that systemd accepts as assignments; it ignores the others too."""
    return [text for text in texts if ASSIGNMENT.match(text)]


def _filter(texts: list[str]) -> tuple[bool, list[str]]:
    words = _listed(texts)
    allowed = not words or not words[0].startswith("~")
    return allowed, [] if words == ["none"] else [word.removeprefix("~") for word in words]


def _mask(words: list[str], values: dict[str, int], everything: int) -> int:
    inverted = bool(words) and words[0].startswith("~")
    mask = 0
    for word in words:
        mask |= values[word.removeprefix("~")]
    return everything & ~mask if inverted else mask


def _capabilities(texts: list[str]) -> int:
    values = {f"CAP_{name.upper()}": 1 << number for number, name in enumerate(CAPABILITIES.split())}
    return _mask(_listed(texts), values, (1 << len(values)) - 1)


def _namespaces(texts: list[str]) -> int:
    everything = sum(NAMESPACES.values())
    if len(texts) == 1 and texts[0] not in NAMESPACES and not texts[0].startswith("~"):
        return 0 if _flag(texts) else everything
    return _mask(texts, NAMESPACES, everything)


def _binds(texts: list[str]) -> list[tuple[str, str, bool, int]]:
    binds = []
    for text in _listed(texts):
        source, _, rest = text.removeprefix("-").partition(":")
        destination, _, option = rest.partition(":")
        flags = 0 if option == "norbind" else RECURSIVE
        binds.append((source, destination or source, text.startswith("-"), flags))
    return binds


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    return [(left, right) for left, _, right in (text.partition(":") for text in _listed(texts))]


KINDS: dict[Kind, str] = {
    Kind("b", _flag): (
        "DynamicUser NoNewPrivileges PrivateUsers PrivateTmp PrivateDevices PrivateNetwork PrivateIPC PrivateMounts "
        "ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups ProtectClock "
        "ProtectHostname RestrictSUIDSGID RestrictRealtime LockPersonality MemoryDenyWriteExecute RemoveIPC "
        "MountAPIVFS IgnoreSIGPIPE CPUAccounting MemoryAccounting IOAccounting TasksAccounting IPAccounting"
    ),
    Kind("s", _text): (
        "User Group Slice WorkingDirectory RootDirectory ProtectSystem ProtectHome ProtectProc ProcSubset KeyringMode "
        "LogNamespace Personality NetworkNamespacePath IPCNamespacePath DevicePolicy PAMName"
    ),
    Kind("as", _listed, is_list=True): (
        "SupplementaryGroups ReadWritePaths ReadOnlyPaths ExecPaths "
        "InaccessiblePaths NoExecPaths StateDirectory CacheDirectory LogsDirectory RuntimeDirectory ExecSearchPath "
        "ConfigurationDirectory SystemCallArchitectures"
    ),
    Kind("as", _assignments, is_list=True): "Environment",
    Kind("(bas)", _filter, is_list=True): "SystemCallFilter RestrictAddressFamilies RestrictFileSystems",
    Kind("a(ssbt)", _binds, is_list=True): "BindPaths BindReadOnlyPaths",
    Kind("a(ss)", _pairs): "LoadCredential LoadCredentialEncrypted TemporaryFileSystem",
    Kind("t", _capabilities, is_list=True): "CapabilityBoundingSet AmbientCapabilities",
    Kind("t", _namespaces, is_list=True): "RestrictNamespaces",
    Kind("t", _size): "MemoryMax MemoryHigh MemorySwapMax MemoryMin MemoryLow",
    Kind("t", _percent): "CPUQuota",
    Kind("t", _number): (
        "CPUWeight TasksMax IOWeight LimitNOFILE LimitNPROC LimitCORE LimitMEMLOCK LimitSTACK LimitAS LimitFSIZE"
    ),
    Kind("i", _number): "Nice OOMScoreAdjust",
    Kind("i", lambda texts: getattr(errno, texts[-1]) if texts[-1].isalpha() else int(texts[-1])): (
        "SystemCallErrorNumber"
    ),
    Kind("u", lambda texts: int(texts[-1], 8)): "UMask",
}
RENAMED = {"CPUQuota": "CPUQuotaPerSecUSec"}

_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}


@cache
def directives() -> dict[str, str]:
    """Return the name of the directive that each key of a planned service fills, from the template."""
    loader, templates = environment().loader, environment()
    assert loader is not None
    service = loader.get_source(templates, "service.j2")[0].partition("[Service]")[2].partition("[X-Omnitron]")[0]
    return {key: name for name, key in TEMPLATE_LINE.findall(service)}


def properties_of(unit: Unit, instance: int | None = None) -> tuple[list[Property], list[str]]:
    """Return the properties that a one-off command shares with the service `unit`, and the untranslated directives.

    The second list names the raw directives of the definition that have no translation. `instance` is the
    number to run as if the unit is a pool; without it, values that depend on the number are left out.
    """
    properties: list[Property] = []
    left_out: list[str] = []
    for name, texts in (*_planned(unit, instance), *_raw(unit)):
        kind = _KIND_OF.get(name)
        try:
            if kind is None or texts is None:
                raise ValueError(name)
            properties.append(Property(RENAMED.get(name, name), kind.signature, kind.convert(texts)))
            if name == "RuntimeDirectory":
                # Otherwise systemd removes the folder when the command ends, although the app still uses it.
                properties.append(Property("RuntimeDirectoryPreserve", "s", "yes"))
        except (ValueError, KeyError, AttributeError):
            left_out.append(name)
    return properties, left_out


def _planned(unit: Unit, instance: int | None) -> Iterator[tuple[str, list[str]]]:
    for key, name in directives().items():
        value = unit.values.get(key)
        if value is None or SUPERVISION.fullmatch(name):
            continue
        kind = _KIND_OF.get(name)
        yield name, _texts(value, str(instance) if instance else None, is_list=bool(kind and kind.is_list))


def _texts(value: Value, instance: str | None, *, is_list: bool) -> list[str]:
    match value:
        case tuple():
            return [text for item in value for text in _texts(item, instance, is_list=is_list)]
        case bool():
            return ["yes" if value else "no"]
        case Literal(text) | Word(text) | Bind(text):
            return [text]
        case Assignment(name, text):
            return [f"{name}={text}"]
        case str() if "%i" in value:
            return [value.replace("%i", instance)] if instance else []
        case str() if is_list:
            return value.split()
    return [str(value)]


def _raw(unit: Unit) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the raw directives of the definition; None for a text with specifiers, which only a unit file can have."""
    for name, text in unit.raw.get("Service", ()):
        if SUPERVISION.fullmatch(name):
            continue
        kind = _KIND_OF.get(name)
        if SPECIFIER.search(text.replace("%%", "")):
            yield name, None
        elif kind and kind.is_list:
            yield name, split_words(text) or [""]
        else:
            yield name, [text.replace("%%", "%")]
