"""RQ on Redis: `SimpleWorker`, which runs jobs in the worker's own process. The default worker forks for every job and
is slower by far."""

import redis
import rq

from peer import Tally, wait_for_go
from rq_jobs import noop, tally as jobs_tally

tally: Tally = jobs_tally


def fill(address: str, count: int) -> None:
    connection = redis.Redis.from_url(address)
    queue = rq.Queue("bench", connection=connection)
    for begin in range(0, count, 1000):
        with connection.pipeline() as pipe:
            queue.enqueue_many(
                [rq.Queue.prepare_data(noop, result_ttl=86400) for _ in range(min(1000, count - begin))], pipeline=pipe
            )
            pipe.execute()


def work(address: str, _: int) -> None:
    connection = redis.Redis.from_url(address)
    worker = rq.SimpleWorker([rq.Queue("bench", connection=connection)], connection=connection)
    begun = wait_for_go()
    worker.work(burst=True, logging_level="ERROR")
    tally.show(begun)
