"""An object of ours on the bus, as its introspection data declares it. Calls of anything else are refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbus_fast import DBusError, ErrorType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import SignatureBodyMismatchError
from dbus_fast.introspection import Interface, Node

from omnitron.errors import OmnitronError

log = logging.getLogger(__name__)

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PROPERTIES = "org.freedesktop.DBus.Properties"

AT_ONCE = 32
"""Calls that are answered at the same time; the others wait."""

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
    """What to export: a node with one interface, its properties and its methods, by name.

    A method takes the values of its call and returns those of its answer; OmnitronError becomes an error of the bus.
    """

    path: str
    xml: str
    properties: Callable[[], Mapping[str, Any]]
    methods: Mapping[str, Callable[..., Awaitable[list[Any]]]]


class Exported:
    """A service on one connection. Answers until that is closed."""

    def __init__(self, bus: MessageBus, service: Service) -> None:
        self._bus = bus
        self._service = service
        self._xml = service.xml.rstrip().removesuffix("</node>") + COMMON.lstrip("\n")
        self._interface: Interface = Node.parse(service.xml).interfaces[0]
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        bus.add_message_handler(self._on_message)

    async def emit(self, signal: str, *values: Any) -> None:
        """Send a signal; returns when it is on its way, so that many do not overrun the connection."""
        signature = next(one.signature for one in self._interface.signals if one.name == signal)
        await self._send(Message.new_signal(self._service.path, self._interface.name, signal, signature, list(values)))

    async def invalidate(self, *properties: str) -> None:
        """Tell that properties have other values now."""
        body = [self._interface.name, {}, list(properties)]
        await self._send(Message.new_signal(self._service.path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    async def _send(self, message: Message) -> None:
        await self._bus.send(message)

    def _on_message(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL or message.path != self._service.path:
            return False
        task = asyncio.ensure_future(self._reply(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _reply(self, message: Message) -> None:
        async with self._slots:
            try:
                signature, values = await self._answer(message)
                reply = Message.new_method_return(message, signature, values)
                await self._send(reply)
            except DBusError as error:
                await self._send(Message.new_error(message, error.type, error.text))
            except OmnitronError as error:
                await self._send(Message.new_error(message, ErrorType.FAILED, error.brief))
            except SignatureBodyMismatchError:
                log.exception("cannot put an answer to %s in its form", message.member)
                await self._send(Message.new_error(message, ErrorType.INTERNAL_ERROR, "the watcher's log says why"))

    async def _answer(self, message: Message) -> tuple[str, list[Any]]:
        interface, member = message.interface or self._interface.name, message.member
        if (interface, member) == (INTROSPECTABLE, "Introspect"):
            return "s", [self._xml]
        if interface == PROPERTIES:
            return self._property(member or "", message)
        if interface == "org.freedesktop.DBus.Peer" and member == "Ping":
            return "", []
        method = next((one for one in self._interface.methods if one.name == member), None)
        if interface != self._interface.name or method is None:
            raise DBusError(ErrorType.UNKNOWN_METHOD, f"there is no method {interface}.{member}")
        if message.signature != method.in_signature:
            text = f"{member} takes {method.in_signature!r}, not {message.signature!r}"
            raise DBusError(ErrorType.INVALID_ARGS, text)
        return method.out_signature, await self._service.methods[method.name](*message.body)

    def _property(self, member: str, message: Message) -> tuple[str, list[Any]]:
        wanted = {"Get": "ss", "GetAll": "s"}.get(member)
        if wanted is None:
            raise DBusError(ErrorType.PROPERTY_READ_ONLY, "all properties are read-only")
        if message.signature != wanted:
            raise DBusError(ErrorType.INVALID_ARGS, f"{member} takes {wanted!r}, not {message.signature!r}")
        if message.body[0] not in (self._interface.name, ""):
            raise DBusError(ErrorType.UNKNOWN_INTERFACE, f"there are no properties of {message.body[0]}")
        values = self._service.properties()
        variants = {one.name: Variant(one.signature, values[one.name]) for one in self._interface.properties}
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
