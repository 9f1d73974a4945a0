"""What several hosts have in common, in a Redis: pictures and rates. It may go away and come back at any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rsitr.extras import need
from rsitr.service.logs import LOG

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["AwayError", "Remote", "connect"]

Result = TypeVar("Result")

TIMEOUT_S = 1.0
RETRY_S = 2.0
AT_ONCE = 32

TAKE = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local passed = math.max(0, now - (tonumber(held[2]) or now))
local tokens = math.min(burst, (tonumber(held[1]) or burst) + passed * rate)
if tokens < 1 then return string.format('%.6f', (1 - tokens) / rate) end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens - 1), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / rate) + 1000)
return '0'
"""
"""Takes a token of a bucket, as `RateLimit` does, by the clock of Redis; gives the seconds until there is one."""

KEEP = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local prefix, name, expiry, limit, most = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], old)
  redis.call('HDEL', KEYS[2], old)
end
redis.call('SET', prefix .. name, ARGV[3], 'PX', expiry)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', KEYS[1], math.max(now + 1000 * expiry, (tonumber(last) or 0) + 1), name)
redis.call('HSET', KEYS[2], name, #ARGV[3])
local total = 0
for _, size in ipairs(redis.call('HVALS', KEYS[2])) do total = total + size end
while redis.call('ZCARD', KEYS[1]) > limit or total > most do
  local old = redis.call('ZPOPMIN', KEYS[1])[1]
  if not old then break end
  total = total - (tonumber(redis.call('HGET', KEYS[2], old)) or 0)
  redis.call('HDEL', KEYS[2], old)
  redis.call('DEL', prefix .. old)
end
redis.call('PEXPIRE', KEYS[1], expiry)
redis.call('PEXPIRE', KEYS[2], expiry)
return redis.call('ZCARD', KEYS[1])
"""
"""Keeps a picture, and lets the oldest go that are too many or too large together."""


class AwayError(Exception):
    """Redis cannot be asked now; who asked does without."""


class Remote:
    """Pictures and rates in a Redis; for one event loop.

    Whatever goes wrong, Redis is then left alone for `retry_s`, so that a request waits for it once at most. That it
    is gone, and that it is back, is logged once.
    """

    def __init__(self, redis: Redis, *, prefix: str, retry_s: float = RETRY_S) -> None:
        self._redis = redis
        self._prefix = prefix
        self._retry_s = retry_s
        self._next_try = 0.0
        self._last_answer = float("-inf")
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._take: Any = redis.register_script(TAKE)
        self._keep: Any = redis.register_script(KEEP)
        self.is_there = True

    async def take(self, client: str, *, per_s: float, burst: int) -> float:
        """Take a token of a client's bucket; gives the seconds until there is one, 0 where it was taken.

        Raises:
            AwayError: Redis cannot be asked.
        """
        key = f"{self._prefix}rate:{client}"
        return float(await self._ask(lambda: self._take(keys=[key], args=[per_s, burst])))

    async def keep(self, name: str, content: bytes, *, expiry_s: float, limit: int, most_bytes: int) -> None:
        """Keep a picture. Raises as `take`."""
        keys = [f"{self._prefix}pictures", f"{self._prefix}sizes"]
        args = [f"{self._prefix}picture:", name, content, max(1, int(1e3 * expiry_s)), limit, most_bytes]
        await self._ask(lambda: self._keep(keys=keys, args=args))

    async def find(self, name: str) -> bytes | None:
        """A picture; None where there is none. Raises as `take`."""
        found = await self._ask(lambda: self._redis.get(f"{self._prefix}picture:{name}"))
        return found if isinstance(found, bytes) else None

    async def look(self) -> bool:
        """Whether Redis is there, asked anew where it was not asked for a while."""
        if time.monotonic() - self._last_answer > self._retry_s:
            try:
                await self._ask(self._ping)
            except AwayError:
                return False
        return self.is_there

    async def close(self) -> None:
        """Close what is open."""
        await self._redis.aclose()

    async def _ping(self) -> None:
        await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]

    async def _ask(self, action: Callable[[], Awaitable[Result]]) -> Result:
        from redis.exceptions import RedisError

        if not self.is_there:
            if time.monotonic() < self._next_try:
                raise AwayError
            self._next_try = time.monotonic() + self._retry_s  # one tries, and the others need not wait for it
        try:
            async with self._turn:
                found = await action()
        except (RedisError, OSError, TimeoutError) as error:
            self._next_try = time.monotonic() + self._retry_s
            if self.is_there:
                self.is_there = False
                said = str(error) or type(error).__name__
                LOG.error("Redis is gone; this service does without it", extra={"fields": {"detail": said}})
            raise AwayError from error
        self._last_answer = time.monotonic()
        if not self.is_there:
            self.is_there = True
            LOG.info("Redis is back")
        return found


def connect(url: str, *, prefix: str) -> Remote:
    """A Redis by its address; it is asked only later.

    Raises:
        ConfigError: the package `redis` is not installed.
    """
    need("redis", what="RSITR_REDIS_URL")
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError

    redis = Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        # Once, for a connection that was open while Redis was started anew; who has waited in vain does not wait again.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return Remote(redis, prefix=prefix)
