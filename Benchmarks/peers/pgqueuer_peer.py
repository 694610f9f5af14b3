"""pgqueuer: queue managers over asyncpg on uvloop, each with its own connection, as in its own benchmark. Rows are
deleted when their job is done."""

import asyncio

import asyncpg
from pgqueuer import AsyncpgDriver, QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from peer import Tally, wait_for_go

tally = Tally()


async def install(address: str, _: int) -> None:
    connection = await asyncpg.connect(address)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def fill(address: str, count: int) -> None:
    connection = await asyncpg.connect(address)
    queries = Queries(AsyncpgDriver(connection))
    for begin in range(0, count, 1000):
        size = min(1000, count - begin)
        await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
    await connection.close()


async def manager(address: str) -> QueueManager:
    made = QueueManager(Queries(AsyncpgDriver(await asyncpg.connect(address))))

    @made.entrypoint("noop")
    async def noop(_: object) -> None:
        tally.ran()

    return made


async def work(address: str, concurrency: int, batch: int) -> None:
    managers = [await manager(address) for _ in range(concurrency)]
    begun = wait_for_go()
    await asyncio.gather(*(one.run(batch_size=batch, mode=QueueExecutionMode.drain) for one in managers))
    tally.show(begun)
