"""procrastinate: an asynchronous worker over psycopg, as its documentation sets it up. Done jobs stay in its table."""

import procrastinate

from peer import Tally, wait_for_go

tally = Tally()


def application(address: str, connections: int) -> procrastinate.App:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address, max_size=connections))

    @app.task(name="noop", queue="bench")
    async def noop() -> None:
        tally.ran()

    return app


async def install(address: str, _: int) -> None:
    async with application(address, 4).open_async() as app:
        await app.schema_manager.apply_schema_async()


async def fill(address: str, count: int) -> None:
    async with application(address, 4).open_async() as app:
        for begin in range(0, count, 1000):
            await app.tasks["noop"].batch_defer_async(*[{}] * min(1000, count - begin))


async def work(address: str, concurrency: int) -> None:
    async with application(address, concurrency + 2).open_async() as app:
        begun = wait_for_go()
        await app.run_worker_async(
            queues=["bench"], concurrency=concurrency, wait=False, listen_notify=False, install_signal_handlers=False
        )
    tally.show(begun)
