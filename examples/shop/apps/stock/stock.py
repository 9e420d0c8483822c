"""What is in stock, in the app's own database. The shop cannot do without it."""

import logging
import os
from typing import Annotated

from msgspec import Meta
from psycopg_pool import AsyncConnectionPool

from omnitron import Config, Context, RpcError, service

SOLD_OUT = 1
Count = Annotated[int, Meta(ge=1, le=1000)]

MAKE = "CREATE TABLE IF NOT EXISTS goods (name text PRIMARY KEY, count int NOT NULL CHECK (count >= 0))"
FILL = "INSERT INTO goods VALUES (%s, %s) ON CONFLICT DO NOTHING"
ALL = "SELECT name, count FROM goods ORDER BY name"
TAKE = "UPDATE goods SET count = count - %(count)s WHERE name = %(good)s AND count >= %(count)s RETURNING count"
ADD = """INSERT INTO goods VALUES (%(good)s, %(count)s)
ON CONFLICT (name) DO UPDATE SET count = goods.count + %(count)s RETURNING goods.count"""


@service
class Stock:
    def __init__(self, config: Config, logger: logging.Logger) -> None:
        self.first: dict[str, int] = dict(config.at("goods"))
        self.log = logger
        # omnitron has made the database, and put its address here.
        self.database = AsyncConnectionPool(
            os.environ["DATABASE_URL"], min_size=1, max_size=4, open=False, check=AsyncConnectionPool.check_connection
        )

    async def open(self) -> None:
        await self.database.open(wait=True)
        async with self.database.connection() as connection:
            await connection.execute(MAKE)
            await connection.cursor().executemany(FILL, self.first.items())
        self.log.info("%d goods in stock", len(await self.all()))

    async def all(self) -> dict[str, int]:
        return dict(await self._rows(ALL))

    async def take(self, good: str, count: Count) -> int:
        """Take goods out; how many are left."""
        rows = await self._rows(TAKE, {"good": good, "count": count})
        if not rows:
            raise RpcError(SOLD_OUT, f"there are only {(await self.all()).get(good, 0)} of {good}")
        return rows[0][0]

    async def add(self, good: str, count: Count) -> int:
        """Put goods in; how many there are now."""
        rows = await self._rows(ADD, {"good": good, "count": count})
        self.log.info("%d of %s came in", count, good)
        return rows[0][0]

    async def _rows(self, query: str, values: dict[str, object] | None = None) -> list[tuple]:
        async with self.database.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()


async def setup(context: Context) -> None:
    await context.services["Stock"].open()
