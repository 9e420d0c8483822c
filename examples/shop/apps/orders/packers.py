"""Packers: each order goes to one of several instances, which all listen on one socket."""

import asyncio
import logging
from typing import Annotated

import msgspec

from omnitron import Context, Proxy, service, topology


class Parcel(msgspec.Struct):
    good: str
    count: int
    left: int
    packer: int


@service("Packers")
class Packers:
    def __init__(self, context: Context, logger: logging.Logger, stock: Annotated[Proxy, topology("Stock")]) -> None:
        self.number = context.instance or 0
        self.log = logger
        self.stock = stock

    async def pack(self, good: str, count: int) -> Parcel:
        left = await self.stock.take(good, count)
        await asyncio.sleep(0.05)  # paper, string
        self.log.info("packer %d packed %d of %s", self.number, count, good)
        return Parcel(good, count, left, self.number)
