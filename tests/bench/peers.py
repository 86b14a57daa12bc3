"""What one would take instead of our store: Redis, beanstalkd, huey; and the bare disk.

Each takes the same tasks and makes each durable before it answers. The servers listen on
Unix sockets and keep their files on the disk that our store is measured on. Those that are
not installed are left out.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the usual Redis client runs on nothing else
import os
import shutil
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import trio

from nessus_sched.core.task import Task
from nessus_sched.store.tasks.codec import encode_task
from tests.bench.figures import Rate, rate

Submit = Callable[[Task], Awaitable[object]]
"""Returns when the task is durable."""

Peer = Callable[[Path], AbstractAsyncContextManager[Submit]]
"""Made ready in a directory, for the length of a block."""

REDIS, BEANSTALKD = shutil.which("redis-server"), shutil.which("beanstalkd")


def document(task: Task) -> bytes:
    return encode_task(task, updated_at=task.created_at).document.encode()


def sync_rate(directory: Path, seconds: float) -> Rate:
    """The disk itself: append 512 bytes and have them on it, one after the other."""
    latencies: list[float] = []
    with (directory / "synced").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            start = time.perf_counter()
            file.write(b"x" * 512)
            os.fdatasync(file.fileno())
            latencies.append(time.perf_counter() - start)
        return rate(latencies, time.perf_counter() - begun)


async def hop_rate(seconds: float) -> Rate:
    """To a thread and back, which is what keeps a commit from holding up the loop."""
    latencies: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        await trio.to_thread.run_sync(int)
        latencies.append(time.perf_counter() - start)
    return rate(latencies, time.perf_counter() - begun)


@contextmanager
def _server(socket: Path, *argv: str) -> Iterator[None]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                assert process.poll() is None, f"{argv[0]} did not start"
                time.sleep(0.01)  # noqa: TID251 - it tells nobody when it is ready
            yield
        finally:
            process.kill()


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The path of its socket. Every write is synced before it is answered."""
    socket = directory / "redis.sock"
    flags = {
        "--port": "0", "--unixsocket": str(socket), "--dir": str(directory), "--save": "",
        "--appendonly": "yes", "--appendfsync": "always", "--maxclients": "4000",
    }  # fmt: skip
    with _server(
        socket, REDIS or "redis-server", *(word for flag in flags.items() for word in flag)
    ):
        yield str(socket)


class _RawRedis:
    """One connection that all callers share; commands go out as they come, in batches."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._out = bytearray()
        self._wake = trio.Event()
        self._callers: deque[trio.lowlevel.Task] = deque()

    async def submit(self, task: Task) -> None:
        name, content = task.task_id.encode(), document(task)
        self._out += b"*3\r\n$5\r\nRPUSH\r\n$5\r\nqueue\r\n$%d\r\n%b\r\n" % (len(content), content)
        self._out += b"*3\r\n$4\r\nSADD\r\n$5\r\ntasks\r\n$%d\r\n%b\r\n" % (len(name), name)
        self._wake.set()
        self._callers.append(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    async def send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            out, self._out = self._out, bytearray()
            await self._stream.send_all(out)

    async def receive(self) -> None:
        import hiredis

        replies, seen = hiredis.Reader(), 0
        while True:
            replies.feed(await self._stream.receive_some())
            while (reply := replies.gets()) is not False:
                assert isinstance(reply, int), reply
                seen += 1
                if seen % 2 == 0:
                    trio.lowlevel.reschedule(self._callers.popleft())


@asynccontextmanager
async def raw_redis(directory: Path) -> AsyncIterator[Submit]:
    with redis_server(directory) as path:
        async with trio.open_nursery() as nursery:
            connection = _RawRedis(await trio.open_unix_socket(path))
            nursery.start_soon(connection.send)
            nursery.start_soon(connection.receive)
            yield connection.submit
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def beanstalkd(directory: Path) -> AsyncIterator[Submit]:
    """A connection for each caller: its server has no use for more in one."""
    socket = directory / "beanstalkd.sock"
    idle: list[trio.SocketStream] = []

    async def submit(task: Task) -> None:
        stream = idle.pop() if idle else await trio.open_unix_socket(str(socket))
        content = document(task)
        await stream.send_all(b"put 0 0 60 %d\r\n%b\r\n" % (len(content), content))
        answer = await stream.receive_some()
        assert answer.startswith(b"INSERTED"), answer
        idle.append(stream)

    argv = (BEANSTALKD or "beanstalkd", "-l", f"unix:{socket}", "-b", str(directory), "-f0")
    with _server(socket, *argv):
        yield submit
        for stream in idle:
            await stream.aclose()


@asynccontextmanager
async def huey(directory: Path) -> AsyncIterator[Submit]:
    """A queue in SQLite that syncs, called as it wants to be: from threads."""
    from huey import SqliteHuey

    queue = SqliteHuey(filename=str(directory / "huey.db"), fsync=True)

    @queue.task()  # type: ignore[untyped-decorator]
    def scan(content: str) -> None: ...

    async def submit(task: Task) -> None:
        await trio.to_thread.run_sync(scan, document(task).decode())

    yield submit


PEERS: dict[str, Peer] = {
    **({"Redis, raw pipelined connection": raw_redis} if REDIS and find_spec("hiredis") else {}),
    **({"beanstalkd -f0": beanstalkd} if BEANSTALKD else {}),
    **({"huey (SQLite)": huey} if find_spec("huey") else {}),
}


def usual_redis_rate(directory: Path, tasks: Iterator[Task], callers: int, seconds: float) -> Rate:
    """Redis through its own asyncio client, both commands in one transaction."""
    from redis.asyncio import Redis

    async def measured(path: str) -> Rate:
        redis = Redis(unix_socket_path=path, max_connections=callers)
        latencies: list[float] = []
        begun = time.perf_counter()

        async def caller() -> None:
            while time.perf_counter() - begun < seconds:
                task = next(tasks)
                start = time.perf_counter()
                async with redis.pipeline() as pipeline:
                    pipeline.rpush("queue", document(task)).sadd("tasks", task.task_id)
                    await pipeline.execute()
                latencies.append(time.perf_counter() - start)

        await asyncio.gather(*(caller() for _ in range(callers)))
        found = rate(latencies, time.perf_counter() - begun)
        await redis.aclose()
        return found

    with redis_server(directory) as path:
        return asyncio.run(measured(path))
