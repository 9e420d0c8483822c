"""From the address that somebody typed to what it means among the installed stacks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omnitron.errors import UsageError
from omnitron.names import Address, parse_address
from omnitron.policy.model import MAX_INSTANCES, AppPolicy, ProcessPolicy, Selection, StackPolicy


def resolve(text: str, policies: Iterable[StackPolicy], here: Path | None = None) -> list[Selection]:
    """Return what the address `text` means: one app, process or instance, in a list.

    Where an address means several, those whose definition lies in the folder `here` or above it are
    preferred. Raises UsageError for one that is still ambiguous, with the candidates, and for an unknown
    one. Any number is an instance of a pool: a scaled one has more than were declared.
    """
    address = parse_address(text)
    if address is None:
        raise UsageError(
            f"cannot read {text!r} as an address: it has the form [stack/]app[:process][@instance]",
            hint="for example api, api:worker, dev/api:worker@2",
        )
    if address.instance is not None and not 1 <= address.instance <= MAX_INSTANCES:
        raise UsageError(f"cannot find {text!r}: instances are numbered from 1 to {MAX_INSTANCES}")
    policies = list(policies)
    selections = _matches(address, policies)
    if len(selections) > 1 and here is not None:
        selections = [
            selection for selection in selections if selection.stack.source.parent in (here, *here.parents)
        ] or selections
    if not selections:
        raise _unknown(text, address, policies)
    if len(selections) > 1:
        raise _ambiguous(text, selections)
    return selections


def _matches(address: Address, policies: list[StackPolicy]) -> list[Selection]:
    """Return everything that fits; an instance alone (`api@2`) means that of each pool of the app."""
    selections = []
    for stack in policies:
        for app in stack.apps:
            if address.of_app.matches(Address(stack.stack, app.name)):
                selections += [Selection(stack, app, process, address.instance) for process in _chosen(address, app)]
    return selections


def _chosen(address: Address, app: AppPolicy) -> list[ProcessPolicy | None]:
    if address.process is None and address.instance is None:
        return [None]
    return [
        process
        for process in app.processes
        if address.process in (None, process.name) and (address.instance is None or process.instances is not None)
    ]


def _ambiguous(text: str, selections: list[Selection]) -> UsageError:
    addresses = [str(selection.address) for selection in selections]
    if len(set(addresses)) < len(addresses):
        named = [f"{selection.address} of {selection.stack.source}" for selection in selections]
        return UsageError(
            f"cannot tell which {text!r} is meant: {', '.join(named)}",
            hint="call it from the folder of that definition",
        )
    return UsageError(f"cannot tell which {text!r} is meant: {', '.join(addresses)}", hint="name one of these")


def _unknown(text: str, address: Address, policies: list[StackPolicy]) -> UsageError:
    import difflib  # 0.7 ms, for this message alone

    if not policies:
        return nothing_installed()
    plain = _matches(Address(address.stack, address.app, address.process), policies)
    if address.instance is not None and plain:
        return UsageError(f"cannot find {text!r}: {plain[0].address} is no pool, it has no instances")
    near = _near_names(policies)
    names = difflib.get_close_matches(text, near, 3, 0.6) or difflib.get_close_matches(address.app, near, 3, 0.6)
    guesses = list(dict.fromkeys(near[name] for name in names))[:3]
    if guesses:
        return UsageError(f"cannot find {text!r}", hint=f"did you mean {' or '.join(guesses)}?")
    full_names = [f"{stack.stack}/{app.name}" for stack in policies for app in stack.apps]
    return UsageError(f"cannot find {text!r}", hint=f"there is {', '.join(dict.fromkeys(full_names))}")


def _near_names(policies: list[StackPolicy]) -> dict[str, str]:
    """Return every form in which an app or process could have been meant, with the address to suggest."""
    near: dict[str, str] = {}
    for stack in policies:
        for app in stack.apps:
            full = f"{stack.stack}/{app.name}"
            near |= {app.name: full, full: full}
            for process in app.processes if len(app.processes) > 1 else ():
                for form in (process.name, f"{app.name}:{process.name}", f"{full}:{process.name}"):
                    near.setdefault(form, f"{full}:{process.name}")
    return near


def nothing_installed(
    hint: str = "`omnitron generate` installs one; --user shows those of your own manager",
) -> UsageError:
    """Return the error for a host on which nothing is installed."""
    return UsageError("cannot find any app: no stack is installed here", hint=hint)
