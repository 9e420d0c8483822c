"""Switches a gateway's maintenance mode: one key in the stack's Redis, which `maintenance.lua` reads."""

from __future__ import annotations

from omnitron.errors import OmnitronError

KEY = "platform:maintenance"
ON = "1"
PATIENCE_S = 3.0


class Switch:
    """The key of one stack."""

    def __init__(self, host: str, port: int, database: int, password: str | None) -> None:
        from redis import Redis  # 106 ms

        self._where = f"{host}:{port}"
        self._client = Redis(
            host, port, database, password, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
        )

    def is_on(self) -> bool:
        """Return whether the gateway answers 503; OmnitronError when Redis does not answer."""
        return bool(self._ask("get", KEY) == ON.encode())

    def set(self, on: bool) -> None:
        """Switch maintenance mode; OmnitronError when Redis does not answer."""
        if on:
            self._ask("set", KEY, ON)
        else:
            self._ask("delete", KEY)

    def _ask(self, command: str, *arguments: str) -> object:
        from redis import RedisError

        try:
            return getattr(self._client, command)(*arguments)
        except RedisError as error:
            raise OmnitronError(
                f"cannot reach the Redis that stores the maintenance mode, {self._where}: {error}",
                hint="without it the gateway is not in maintenance; see: omnitron infra status",
            ) from error
