"""How long a worker waits for a data set of a store in S3: fetched, copied, and found here.

    python benchmarks/store.py [--megabytes 100] [--repeats 3]

moto's server, a process of its own on the loopback interface, stands for S3: the figures are those
of Ridgeway's side and of a network without delay.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx

from ridgeway.data import cache as cache_module
from ridgeway.data.cache import Cache
from ridgeway.data.store import Store

MOST_BYTES = 10**12


@contextmanager
def s3() -> Iterator[str]:
    """A store's URL in an S3 that lasts as long as the block; the environment names it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "whatever"}
    os.environ |= {**keys, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        while not answers(url):
            time.sleep(0.1)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/store"
        server.terminate()


def answers(url: str) -> bool:
    """Return True where a server listens."""
    try:
        return bool(httpx.get(f"{url}/moto-api/").status_code)
    except httpx.TransportError:
        return False


def seconds(act: Callable[[], object]) -> float:
    """Return how long it takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def measured(url: str, folder: Path, data: bytes) -> dict[str, float]:
    """Return the seconds of each way to the data set."""
    store = Store(url, Cache(folder, MOST_BYTES))
    times = {"put": seconds(lambda: store.put("datasets/a", data))}
    checksum = store.put("datasets/a", data)

    def local() -> None:
        with store.local("datasets/a", checksum) as path:
            assert path.stat().st_size == len(data)

    times["read from the store"] = seconds(lambda: store.get("datasets/a", checksum))
    times["copied to the cache"] = seconds(local)
    cache_module._checksum.cache_clear()  # as a new process has it
    times["found in the cache, by a new process"] = seconds(local)
    times["found in the cache, by the same one"] = seconds(local)
    return times


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    data = os.urandom(2**20) * arguments.megabytes
    with s3() as url, tempfile.TemporaryDirectory() as folder:
        runs = [measured(url, Path(folder) / str(each), data) for each in range(arguments.repeats)]
    for name in runs[0]:
        print(f"{name:40} {statistics.median(run[name] for run in runs):8.3f} s")


if __name__ == "__main__":
    main()
