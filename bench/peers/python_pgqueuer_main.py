"""A process of the Python project. Speaks as task.ts says."""

import asyncio
import json
import os
import struct
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgPoolDriver

TASK = json.loads(os.environ["BENCH"])
TALLY_SECONDS = 0.02
# The batch size that makes it fastest here: larger ones were no faster.
TUNED_BATCH = 500


def now() -> float:
    return time.time() * 1000


def say(event: str, value: object = None) -> None:
    print(json.dumps({"event": event, "value": value or {}}), flush=True)


class Parent:
    """Words that the parent writes, one to a line."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()

    async def listen(self) -> "Parent":
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self.reader), sys.stdin
        )
        return self

    async def told(self, word: str) -> None:
        while (line := (await self.reader.readline()).decode().strip()) != word:
            if not line and self.reader.at_eof():
                sys.exit(1)


def name_of(number: int) -> str:
    return f"bench_{number % TASK['entrypoints']}"


def payload_of(number: int, called_at: float = 0) -> bytes:
    return struct.pack(">Id", number, called_at).ljust(TASK["payloadBytes"], b"\0")


async def send_batch(queries: Queries, numbers: range, delay_ms: float) -> None:
    delay = timedelta(milliseconds=delay_ms)
    await queries.enqueue(
        [name_of(number) for number in numbers],
        [payload_of(number) for number in numbers],
        [0] * len(numbers),
        [delay] * len(numbers) if delay_ms > 0 else None,
    )


async def send_one(queries: Queries, number: int, called_at: float) -> None:
    await queries.enqueue(name_of(number), payload_of(number, called_at))


async def fill(queries: Queries) -> list:
    for part in TASK["parts"]:
        end = part["first"] + part["count"]
        for first in range(part["first"], end, TASK["batch"]):
            numbers = range(first, min(first + TASK["batch"], end))
            await send_batch(queries, numbers, part["delayMs"])
    return []


async def single(queries: Queries) -> list:
    numbers = iter(range(TASK["first"], TASK["first"] + TASK["count"]))

    async def caller() -> None:
        for number in numbers:
            await send_one(queries, number, now())

    await asyncio.gather(*(caller() for _ in range(TASK["callers"])))
    return []


async def trickle(queries: Queries) -> list:
    calls = []
    for number in range(TASK["first"], TASK["first"] + TASK["count"]):
        called_at = now()
        await send_one(queries, number, called_at)
        calls.append([number, called_at, now()])
        await asyncio.sleep(TASK["pauseMs"] / 1000)
    return calls


async def produce(pool: asyncpg.Pool, parent: Parent, run) -> None:
    queries = Queries(AsyncpgPoolDriver(pool))
    say("ready")
    await parent.told("go")
    begun_at = now()
    calls = await run(queries)
    say("end", {"begunAt": begun_at, "endedAt": now(), "calls": calls})


class Counter:
    """Counts what the handlers do."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.first_at = 0.0
        self.busy_ms = 0.0
        self.marks: list = []
        self.starts: list = []
        self.wanted = set(TASK["marks"])

    async def run(self, payload: bytes) -> None:
        number, called_at = struct.unpack_from(">Id", payload)
        if self.count == 0:
            self.first_at = now()
        self.count += 1
        self.sum += number
        if self.count in self.wanted:
            self.marks.append([self.count, now()])
        if TASK["handler"] == "latency":
            self.starts.append([number, called_at, now()])
        elif TASK["handler"] == "sleep":
            begun = time.perf_counter()
            await asyncio.sleep(TASK["sleepMs"] / 1000)
            self.busy_ms += (time.perf_counter() - begun) * 1000

    def tally(self) -> dict:
        return {"count": self.count, "sum": self.sum, "firstAt": self.first_at}

    async def keep_saying(self) -> None:
        said = 0
        while True:
            await asyncio.sleep(TALLY_SECONDS)
            if self.count != said:
                said = self.count
                say("tally", self.tally())

    def report(self) -> dict:
        own = {"marks": self.marks, "starts": self.starts, "busyMs": self.busy_ms, "unlimitedAt": 0, "heapKb": 0}
        return {**self.tally(), **own}


async def work(pool: asyncpg.Pool, parent: Parent) -> None:
    counter = Counter()
    pgq = PgQueuer.from_asyncpg_pool(pool)

    async def handler(job) -> None:
        await counter.run(job.payload)

    for index in range(TASK["entrypoints"]):
        pgq.entrypoint(name_of(index))(handler)
    options = {"batch_size": TUNED_BATCH} if TASK["tuned"] else {}
    if TASK["concurrency"] > 0:
        half = TASK["concurrency"] // 2
        options = {"batch_size": half, "max_concurrent_tasks": TASK["concurrency"]}
    say("ready")
    await parent.told("go")
    saying = asyncio.create_task(counter.keep_saying())
    run = asyncio.create_task(pgq.run(**options))
    await parent.told("stop")
    pgq.shutdown.set()
    await run
    saying.cancel()
    say("end", counter.report())


async def main() -> None:
    role = TASK["role"]
    parent = await Parent().listen()
    pool = await asyncpg.create_pool(TASK["dsn"], min_size=2, max_size=max(10, TASK["callers"]))
    if role == "install":
        await Queries(AsyncpgPoolDriver(pool)).install()
    elif role == "work":
        await work(pool, parent)
    else:
        await produce(pool, parent, {"fill": fill, "single": single, "trickle": trickle}[role])
    # Closing the pool would wait for the listener.
    sys.stdout.flush()
    os._exit(0)


uvloop.install()
asyncio.run(main())
