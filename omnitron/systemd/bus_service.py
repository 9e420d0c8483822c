"""An object of ours on the bus, as its introspection data declares it. Calls of anything else are refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dbus_fast import DBusError, ErrorType, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import SignatureBodyMismatchError
from dbus_fast.introspection import Interface, Node

from omnitron.errors import OmnitronError
from omnitron.systemd import local
from omnitron.systemd.bus import BUS, closed, connect

log = logging.getLogger(__name__)

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PROPERTIES = "org.freedesktop.DBus.Properties"

AT_ONCE = 32
"""Calls that are answered at the same time; the others wait."""
MOST_WAITING = 512
"""More calls than this are not even waited for."""
ERROR_LIMIT = 500  # characters

TAKE_IT_OVER = 0x2 | 0x4
"""Flags of RequestName: replace an owner that allows it, do not wait for one that does not."""
IS_OWNER = (1, 4)

T = TypeVar("T")

# Every object has these, and says so.
COMMON = """
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect"><arg name="xml" type="s" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer"><method name="Ping"/></interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface" type="s" direction="in"/><arg name="name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface" type="s" direction="in"/><arg name="values" type="a{sv}" direction="out"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface" type="s"/><arg name="changed" type="a{sv}"/><arg name="invalidated" type="as"/>
    </signal>
  </interface>
</node>
"""


@dataclass(frozen=True)
class Service:
    """An exported object: a node with one interface, its properties and its methods, by name.

    A method takes the values of its call and returns those of its answer; OmnitronError becomes an error of the bus.
    """

    path: str
    xml: str
    properties: Callable[[], Mapping[str, Any]]
    methods: Mapping[str, Callable[..., Awaitable[list[Any]]]]


class NameRefusedError(OmnitronError):
    """The bus does not let us have the name."""


class Exported:
    """A service under a name, on a connection of its own: whatever its clients do to that, nothing else suffers."""

    def __init__(self, name: str, service: Service, *, is_user: bool) -> None:
        self._name = name
        self._service = service
        self._is_user = is_user
        self._xml = service.xml.rstrip().removesuffix("</node>") + COMMON.lstrip("\n")
        self._interface: Interface = Node.parse(service.xml).interfaces[0]
        self._bus: MessageBus | None = None
        self._sending = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer calls until the connection ends; raises OmnitronError when there is none, or not the name."""
        bus = await connect(is_user=self._is_user)
        try:
            await self._take_name(bus)
            bus.add_message_handler(self._on_message)
            self._bus = bus
            await closed(bus)
        finally:
            self._bus = None
            for task in self._tasks:
                task.cancel()
            bus.disconnect()

    async def _take_name(self, bus: MessageBus) -> None:
        # The bus may have read its policies before they were there, or before the group that they name was.
        await self._ask(bus, "ReloadConfig")
        answer = await self._ask(bus, "RequestName", "su", self._name, TAKE_IT_OVER)
        if answer.message_type is not MessageType.METHOD_RETURN or answer.body[0] not in IS_OWNER:
            why = answer.body[0] if answer.message_type is MessageType.ERROR else "somebody else is"
            raise NameRefusedError(f"cannot be {self._name} on the bus: {why}")

    async def _ask(self, bus: MessageBus, member: str, signature: str = "", *body: Any) -> Message:
        """Ask the bus itself. Its answer says too that it has read all that was sent before."""
        question = Message(*BUS, member, signature=signature, body=list(body))
        return await self._unless_closed(bus, bus.call(question))

    async def _unless_closed(self, bus: MessageBus, what: Awaitable[T]) -> T:
        """Wait for something that never comes once the connection has ended."""
        waiting, end = asyncio.ensure_future(what), asyncio.ensure_future(closed(bus))
        try:
            await asyncio.wait({waiting, end}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                result = waiting.result()
                if bus.connected:
                    return result
            raise local.unreachable(self._is_user, "the bus closed the connection")
        except (OSError, EOFError) as error:
            raise local.unreachable(self._is_user, "the bus closed the connection") from error
        finally:
            waiting.cancel()
            end.cancel()

    async def emit(self, signal: str, *values: Any) -> None:
        """Send a signal; nobody hears it while there is no connection."""
        signature = next(item.signature for item in self._interface.signals if item.name == signal)
        await self._send(Message.new_signal(self._service.path, self._interface.name, signal, signature, list(values)))

    async def invalidate(self, *properties: str) -> None:
        """Tell that properties have other values now."""
        body = [self._interface.name, {}, list(properties)]
        await self._send(Message.new_signal(self._service.path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    async def _send(self, message: Message) -> None:
        """Send one message, and wait until the bus has read it: one that a full socket refuses ends the connection."""
        async with self._sending:
            bus = self._bus
            if bus is not None and bus.connected:
                await self._unless_closed(bus, bus.send(message))
                await self._ask(bus, "GetId")

    def _on_message(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL or message.path != self._service.path:
            return False
        if len(self._tasks) < MOST_WAITING:
            task = asyncio.ensure_future(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _reply(self, message: Message) -> None:
        async with self._slots:
            reply = await self._reply_to(message)
            if message.flags & MessageFlag.NO_REPLY_EXPECTED:
                return
            with contextlib.suppress(OmnitronError):  # who has asked is gone
                try:
                    await self._send(reply)
                except SignatureBodyMismatchError:
                    log.exception("cannot put the answer to %s in its form", message.member)
                    await self._send(Message.new_error(message, ErrorType.INTERNAL_ERROR, "the watcher's log says why"))

    async def _reply_to(self, message: Message) -> Message:
        try:
            signature, values = await self._answer(message)
            return Message.new_method_return(message, signature, values)
        except DBusError as error:
            return Message.new_error(message, error.type, error.text)
        except OmnitronError as error:
            return Message.new_error(message, ErrorType.FAILED, error.brief[:ERROR_LIMIT])
        except Exception:  # whatever a client has sent, it gets an answer
            log.exception("cannot answer %s", message.member)
            return Message.new_error(message, ErrorType.INTERNAL_ERROR, "the watcher's log says why")

    async def _answer(self, message: Message) -> tuple[str, list[Any]]:
        interface, member = message.interface or self._interface.name, message.member
        if (interface, member) == (INTROSPECTABLE, "Introspect"):
            return "s", [self._xml]
        if interface == PROPERTIES:
            return self._property(member or "", message)
        if interface == "org.freedesktop.DBus.Peer" and member == "Ping":
            return "", []
        method = next((item for item in self._interface.methods if item.name == member), None)
        if interface != self._interface.name or method is None:
            raise DBusError(ErrorType.UNKNOWN_METHOD, f"there is no method {interface}.{member}")
        if message.signature != method.in_signature:
            text = f"{member} takes {method.in_signature!r}, not {message.signature!r}"
            raise DBusError(ErrorType.INVALID_ARGS, text)
        return method.out_signature, await self._service.methods[method.name](*message.body)

    def _property(self, member: str, message: Message) -> tuple[str, list[Any]]:
        signatures = {"Get": "ss", "GetAll": "s"}.get(member)
        if signatures is None:
            raise DBusError(ErrorType.PROPERTY_READ_ONLY, "all properties are read-only")
        if message.signature != signatures:
            raise DBusError(ErrorType.INVALID_ARGS, f"{member} takes {signatures!r}, not {message.signature!r}")
        if message.body[0] not in (self._interface.name, ""):
            raise DBusError(ErrorType.UNKNOWN_INTERFACE, f"there are no properties of {message.body[0]}")
        values = self._service.properties()
        variants = {item.name: Variant(item.signature, values[item.name]) for item in self._interface.properties}
        if member == "GetAll":
            return "a{sv}", [variants]
        if message.body[1] not in variants:
            raise DBusError(ErrorType.UNKNOWN_PROPERTY, f"there is no property {message.body[1]}")
        return "v", [variants[message.body[1]]]


def variants(values: Mapping[str, bool | int | float | str | list[float]]) -> dict[str, Variant]:
    """Return values as a{sv}: whole numbers as unsigned 64-bit ones."""
    return {name: Variant(_signature(value), value) for name, value in values.items()}


def _signature(value: bool | int | float | str | list[float]) -> str:
    if isinstance(value, list):
        return "ad"
    return {bool: "b", int: "t", float: "d", str: "s"}[type(value)]
