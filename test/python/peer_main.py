"""A peer of the Python project: see protocol.ts. Told by PEER where the database is, by PGQUEUER_* what its tables are called."""

import asyncio
import base64
import json
import logging
import os
import signal
import sys
import time
from datetime import timedelta

import asyncpg
from pgqueuer import PgQueuer, Queries, RetryRequested
from pgqueuer.models import Context, Job, Schedule

DSN = json.loads(os.environ["PEER"])["dsn"]
# Its listener keeps one, and open transactions keep others.
POOL_SIZE = 6
# More than any test gives a worker to stop.
STOP_SECONDS = 60


def now() -> float:
    return time.time() * 1000


def say(message: dict) -> None:
    print(json.dumps(message), flush=True)


def text_of(payload: bytes | None) -> str | None:
    return None if payload is None else base64.b64encode(payload).decode()


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


class Worker:
    """One run of a PgQueuer on a pool of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pgq = PgQueuer.from_asyncpg_pool(pool)
        self.gates: dict[int, asyncio.Event] = {}
        self.run: asyncio.Task | None = None

    def gate(self, job_id: int) -> asyncio.Event:
        return self.gates.setdefault(job_id, asyncio.Event())

    def register(self, name: str, options: dict) -> None:
        seconds = options.get("ms", 0) / 1000

        async def handler(job: Job, context: Context) -> None:
            seen = {key: getattr(job, key) for key in ("id", "entrypoint", "priority", "attempts", "headers")}
            say({"event": "start", "at": now(), "job": {**seen, "payload": text_of(job.payload)}})
            match options["does"]:
                case "sleep":
                    await asyncio.sleep(seconds)
                case "wait":
                    with context.cancellation:
                        await self.gate(job.id).wait()
                case "fail":
                    raise LookupError("no such article")
                case "retry" if job.attempts == 0:
                    raise RetryRequested(timedelta(seconds=seconds), "handed over")
            canceled = context.cancellation.cancel_called
            say({"event": "end", "at": now(), "id": job.id, "canceled": canceled})

        self.pgq.entrypoint(
            name,
            concurrency_limit=options.get("concurrencyLimit", 0),
            on_failure=options.get("onFailure", "delete"),
            accepts_context=True,
        )(handler)

    def schedule(self, name: str, expression: str) -> None:
        async def fire(schedule: Schedule) -> None:
            say({"event": "fire", "at": now(), "entrypoint": name})

        self.pgq.schedule(name, expression)(fire)

    def start(self, options: dict) -> None:
        for name, entrypoint in options.get("entrypoints", {}).items():
            self.register(name, entrypoint)
        for name, expressions in options.get("schedules", {}).items():
            for expression in expressions:
                self.schedule(name, expression)
        seconds = {
            name: timedelta(milliseconds=options[key])
            for name, key in (("heartbeat_timeout", "heartbeatTimeoutMs"), ("dequeue_timeout", "dequeueTimeoutMs"))
            if key in options
        }
        numbers = {
            name: options[key]
            for name, key in (("batch_size", "batchSize"), ("max_concurrent_tasks", "maxConcurrentTasks"))
            if key in options
        }
        self.run = asyncio.create_task(self.pgq.run(**seconds, **numbers))
        self.run.add_done_callback(self.tell)

    def tell(self, run: asyncio.Task) -> None:
        if not run.cancelled() and (error := run.exception()):
            say({"event": "failed", "error": f"{type(error).__name__}: {error}"})

    async def stop(self) -> None:
        self.pgq.shutdown.set()
        await self.run


class Peer:
    """Does what it is asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.queries = Queries.from_asyncpg_pool(pool)
        self.worker: Worker | None = None
        self.open: tuple | None = None

    async def insert(self, queries: Queries, jobs: list, on_conflict: str = "raise") -> list:
        return await queries.enqueue(
            [job["entrypoint"] for job in jobs],
            [bytes_of(job.get("payload")) for job in jobs],
            [job.get("priority", 0) for job in jobs],
            [timedelta(milliseconds=job.get("delayMs", 0)) for job in jobs],
            [job.get("dedupeKey") for job in jobs],
            [job.get("headers") for job in jobs],
            on_conflict=on_conflict,
        )

    async def enqueue(self, jobs: list, onConflict: str = "raise") -> list:
        return await self.insert(self.queries, jobs, onConflict)

    async def begin(self, jobs: list) -> list:
        connection = await self.pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        self.open = (connection, transaction)
        return await self.insert(Queries.from_asyncpg_connection(connection), jobs)

    async def commit(self) -> float:
        connection, transaction = self.open
        at = now()
        await transaction.commit()
        await self.pool.release(connection)
        return at

    async def work(self, **options) -> None:
        self.worker = Worker(await asyncpg.create_pool(DSN, min_size=1, max_size=POOL_SIZE))
        self.worker.start(options)

    async def stop(self) -> None:
        if self.worker:
            await self.worker.stop()
        self.worker = None

    async def go(self, ids: list) -> None:
        for job_id in ids:
            self.worker.gate(job_id).set()

    async def cancel(self, ids: list) -> None:
        await self.queries.mark_job_as_cancelled(ids)

    async def failed(self) -> list:
        return [{"id": job.id, "attempts": job.attempts} for job in await self.queries.list_failed_jobs()]

    async def requeue(self, ids: list) -> None:
        await self.queries.requeue_jobs(ids)

    async def tracebacks(self, job: int) -> list:
        rows = [row for row in await self.queries.queue_log() if row.job_id == job and row.traceback]
        return [
            {
                "type": row.traceback.exception_type,
                "message": row.traceback.exception_message,
                "text": row.traceback.traceback,
                "context": row.traceback.additional_context,
            }
            for row in sorted(rows, key=lambda row: row.created)
        ]

    async def statistics(self) -> list:
        return [
            {
                "created": row.created.timestamp() * 1000,
                "entrypoint": row.entrypoint,
                "priority": row.priority,
                "status": row.status,
                "count": row.count,
            }
            for row in await self.queries.log_statistics(limit=None)
        ]

    async def answer(self, request: dict) -> None:
        number, command = request.pop("id"), request.pop("command")
        try:
            say({"id": number, "result": await getattr(self, command)(**request)})
        except Exception as error:
            say({"id": number, "error": f"{type(error).__name__}: {error}"})


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peer = Peer(await asyncpg.create_pool(DSN, min_size=1, max_size=POOL_SIZE))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    async def serve() -> None:
        answers = set()
        while line := await reader.readline():
            answer = asyncio.create_task(peer.answer(json.loads(line)))
            answers.add(answer)
            answer.add_done_callback(answers.discard)

    serving = asyncio.create_task(serve())
    stopping = asyncio.create_task(stopped.wait())
    say({"event": "ready"})
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    # Without its server a worker never stops, and nobody would be left to end this process.
    ended, _ = await asyncio.wait([asyncio.create_task(peer.stop())], timeout=STOP_SECONDS)
    # Pools wait for connections that nobody uses any more.
    sys.stdout.flush()
    os._exit(0 if ended else 1)


# What goes wrong is on stderr, where tests look.
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
asyncio.run(main())
