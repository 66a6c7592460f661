"""The registry: how fast it is read, how far behind the truth it is, how much memory it takes."""
import os
import random
import re
import socket
import subprocess
import tempfile
import time
from datetime import datetime

from benches.common import Mesh, BenchError, header, progress, quantile


class Redis:
    """As much of RESP2 as is needed here, on a Unix socket, with pipelines."""

    def __init__(self, path, user=None, password=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")
        if user:
            self.ask("AUTH", user, password)

    def send(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise BenchError(f"redis: {rest.decode()}")
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        raise BenchError("redis: the connection ended")

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def many(self, commands):
        for words in commands:
            self.send(*words)
        return [self.answer() for _ in commands]


def admin(mesh):
    password = (mesh.run / "keys/admin.redis").read_text().split("\n")[1]
    return Redis(mesh.run / "redis.sock", "admin", password)


def keys_of(redis, pattern):
    found, cursor = [], "0"
    while True:
        cursor, page = redis.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 5000)
        found += page
        if cursor == "0":
            return found


def seconds_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def lags(redis, keys, seconds):
    """How long after the lead's own time of a beat the record shows it."""
    known = redis.many([("HGET", key, "last_heartbeat") for key in keys])
    found, end = [], time.time() + seconds
    while time.time() < end:
        now = redis.many([("HGET", key, "last_heartbeat") for key in keys])
        at = time.time()
        for i, value in enumerate(now):
            if value and value != known[i]:
                found.append(1000 * (at - seconds_of(value)))
                known[i] = value
        time.sleep(0.01)
    return found


def reads(redis, keys, seconds, rng):
    """Milliseconds of whole records read one after the other, the reader's own work included."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        key = rng.choice(keys)
        begin = time.perf_counter()
        row = redis.ask("HGETALL", key)
        found.append(1000 * (time.perf_counter() - begin))
        if "agent_id" not in row:
            raise BenchError(f"{key} is no record of an agent")
        time.sleep(0.0005)
    return found


def history_mib(entries, clusters, rng):
    """A day of minutes: 1,440 entries as the leads write them, with numbers that change, in 50
    streams on a server of its own; memory of one stream times the clusters."""
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as folder:
        path = os.path.join(folder, "s")
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder],
                                  stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not os.path.exists(path) and time.monotonic() < deadline:
                time.sleep(0.02)
            redis = Redis(path)
            empty = int(re.search(r"used_memory:(\d+)", redis.ask("INFO", "memory")).group(1))
            start_ms, streams = int(time.time() * 1000) - 86400000, 50
            for stream in range(streams):
                fields = entries[stream % len(entries)]
                commands = []
                for minute in range(1440):
                    words = []
                    for name, value in zip(fields[::2], fields[1::2]):
                        if re.fullmatch(r"\d+\.\d+", value):
                            value = f"{float(value) * rng.uniform(0.8, 1.2):.{len(value.split('.')[1])}f}"
                        elif value.endswith("Z"):
                            value = datetime.utcfromtimestamp((start_ms + minute * 60000) / 1000).isoformat()[:23] + "Z"
                        words += [name, value]
                    commands.append(("XADD", f"mesh.history:{{s{stream}.c1}}:history", f"{start_ms + minute * 60000}-0", *words))
                redis.many(commands)
            full = int(re.search(r"used_memory:(\d+)", redis.ask("INFO", "memory")).group(1))
            return (full - empty) / streams * clusters / 1048576
        finally:
            server.kill()
            server.wait()


def bench_registry(options):
    result, rng = header(options), random.Random(options.seed)
    with Mesh(options, options.delay or "none") as mesh:
        mesh.wait_active(0.999)
        time.sleep(10)
        redis = admin(mesh)
        keys = keys_of(redis, "mesh:{*}:agent:*")
        progress(f"registry: {len(keys)} records")
        lag = lags(redis, rng.sample(keys, min(200, len(keys))), options.seconds or 20)
        read = reads(redis, keys, 10, rng)
        rest = 62 - (time.monotonic() - mesh_started(mesh))
        time.sleep(max(0, rest))  # leads write their first minute
        used = int(re.search(r"used_memory:(\d+)", redis.ask("INFO", "memory")).group(1))
        streams = keys_of(redis, "mesh.history:*")
        history = sum(size or 0 for size in redis.many([("MEMORY", "USAGE", key) for key in streams]))
        entries = [page[0][1] for page in redis.many([("XREVRANGE", key, "+", "-", "COUNT", 1) for key in streams[:50]]) if page]
        day = history_mib(entries, options.agents / 30, rng) if entries else None
    return result | {"records": len(keys), "read_p50_ms": round(quantile(read, 0.5), 3), "read_p99_ms": round(quantile(read, 0.99), 3),
                     "reads": len(read), "lag_p50_ms": round(quantile(lag, 0.5) or 0, 1), "lag_p99_ms": round(quantile(lag, 0.99) or 0, 1),
                     "lags": len(lag), "redis_mib": round((used - history) / 1048576, 2),
                     "history_now_mib": round(history / 1048576, 2), "history_mib": round(day, 2) if day else None,
                     "history_is": "50 streams of 1,440 entries made of real ones, times the clusters"}


def mesh_started(mesh):
    """When deploy/up had the mesh up, on the monotonic clock."""
    return time.monotonic() - (time.time() - (mesh.run / "up.json").stat().st_mtime)
