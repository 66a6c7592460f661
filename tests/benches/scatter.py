"""scatter and what it is compared with; growth, the same over sizes and shapes."""
import copy
import os
import pathlib
import socket
import subprocess
import time

from benches.common import ROOT, Mesh, BenchError, frames, header, median, progress
from benches.plot import svg


def signature_costs(program, frame_bytes):
    """Cost in microseconds of one signature and one verification of a root, and of the digest of a mean
    frame: the least of five medians, because the mesh beats beside it."""
    subprocess.run(["cc", "-O2", ROOT / "tests/baseline/signature_speed.c", "-o", program, "-lsodium"], check=True)
    rounds = [subprocess.run([program, str(frame_bytes)], capture_output=True, text=True, check=True, timeout=60).stdout.split()
              for _ in range(5)]
    return [min(float(r[i]) for r in rounds) for i in range(3)]


def idle_rates(mesh, seconds=5):
    """What `frames` counts, a second, by heartbeats alone."""
    before, begin = frames(mesh), time.monotonic()
    time.sleep(seconds)
    after, spent = frames(mesh), time.monotonic() - begin
    return [(b - a) / spent for a, b in zip(before, after)]


class RawNats:
    """tests/baseline/raw_nats.c on a server of its own, in the clear: what NATS alone can do."""

    def __init__(self, run, agents, payload):
        self.program, self.args = run / "raw_nats", [str(agents), str(payload)]
        subprocess.run(["cc", "-O2", ROOT / "tests/baseline/raw_nats.c", "-o", self.program, "-lnats"], check=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"nats://127.0.0.1:{port}"
        self.broker = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        self.agents = subprocess.Popen([self.program, "agents", self.url, *self.args], stdout=subprocess.PIPE, text=True)
        if self.agents.stdout.readline().strip() != "ready":
            self.close()
            raise BenchError("raw_nats does not start")

    def round_ms(self):
        out = subprocess.run([self.program, "scatter", self.url, *self.args, "1"], capture_output=True, text=True,
                             check=True, timeout=120).stdout
        return float(out.split()[0])

    def close(self):
        for process in (self.agents, self.broker):
            process.kill()
            process.wait()


def scatter_rounds(mesh, raw, runs, text):
    """Interleaved rounds; all of the mesh's, of raw NATS's, how many became ready, processor ms of ours."""
    mesh_ms, raw_ms, cpu_ms, ready = [], [], [], 0
    for _ in range(runs):
        if raw is not None:
            raw_ms.append(raw.round_ms())
        before = mesh.cpu_s()
        answer = mesh.console("ask", text, "--all", "--timeout", "30s")
        after = mesh.cpu_s()
        mesh_ms.append(answer["total_time_ms"])
        cpu_ms.append(1000 * sum(after[k] - before.get(k, 0) for k in after))
        ready = answer["states"]["ready"]
        progress(f"scatter: mesh {mesh_ms[-1]:.1f} ms" + (f", raw {raw_ms[-1]:.1f} ms" if raw else "") +
                 f", {ready} ready, {answer['resent']} sent again")
    return mesh_ms, raw_ms, cpu_ms, ready


def measure(options, runs, payload=64, with_raw=True, more=()):
    text = "x" * payload
    with Mesh(options, options.delay or "none", *more) as mesh:
        mesh.wait_active(0.999)
        for _ in range(2):  # warm-up: keys, clocks and chains known
            mesh.console("ask", text, "--all", "--timeout", "30s")
        time.sleep(6)  # one beat of every agent after it
        idle = idle_rates(mesh)
        raw = RawNats(mesh.run, options.agents, payload) if with_raw else None
        try:
            before, begin = frames(mesh), time.monotonic()
            mesh_ms, raw_ms, cpu_ms, ready = scatter_rounds(mesh, raw, runs, text)
            after, spent = frames(mesh), time.monotonic() - begin
        finally:
            if raw is not None:
                raw.close()
        signed, verified, made, taken, sent = (max(0.0, (b - a - i * spent) / runs) for a, b, i in zip(before, after, idle))
        frame_bytes = max(256, min(61440, round(sent / max(1.0, made))))
        sign_us, verify_us, digest_us = signature_costs(mesh.run / "signature_speed", frame_bytes)
    floor = (signed * sign_us + verified * verify_us + (made + taken) * digest_us) / 1000 / os.cpu_count()
    return {"mesh_ms": median(mesh_ms), "raw_ms": median(raw_ms), "signature_floor_ms": round(floor, 2),
            "agents_per_host": options.agents_per_host, "ready": ready, "payload_bytes": payload, "frame_bytes": frame_bytes,
            "bytes_through_the_bus": round(sent), "sign_us": sign_us,
            "verify_us": verify_us, "digest_us": digest_us, "frames_sent": round(made), "signatures_made": round(signed), "verifications_made": round(verified),
            "cpu_ms": round(median(cpu_ms), 1), "all_mesh_ms": mesh_ms, "all_raw_ms": raw_ms}


def bench_scatter(options):
    result = header(options) | measure(options, options.runs)
    result["ratio"] = round(result["mesh_ms"] / max(result["raw_ms"], result["signature_floor_ms"]), 3)
    return result


def bench_growth(options):
    """Agents 1,000 to 100,000 in clusters of 30, and 30,000 in another shape; those with --agents-most at most, or that
    number alone when it is smaller than all of them."""
    result, rows = header(options), []
    sizes = [(n, ()) for n in (1000, 3000, 10000, 30000, 100000)] + [(30000, ("--clusters-per-sector", "32"))]
    sizes = [size for size in sizes if size[0] <= options.agents_most] or [(options.agents_most, ())]
    for agents, more in sizes:
        own = copy.copy(options)
        own.agents = agents
        try:
            row = measure(own, options.runs, with_raw=False, more=more)
        except BenchError as problem:
            progress(f"growth: {agents} agents: {problem}")
            rows.append({"agents": agents, "clusters_per_sector": 32 if more else 10, "error": str(problem)[:200]})
            continue
        keys = ("mesh_ms", "cpu_ms", "signature_floor_ms", "signatures_made", "verifications_made", "ready")
        rows.append({"agents": agents, "clusters_per_sector": 32 if more else 10} | {k: row[k] for k in keys})
        progress(f"growth: {rows[-1]}")
    failed = [row for row in rows if "error" in row]
    if len(failed) == len(rows):
        raise BenchError(f"no size was measured: {failed[0]['error']}", rows=rows)
    if options.plot:
        pathlib.Path(options.plot).write_text(svg(rows))
    return result | {"rows": rows, "agents": max(row["agents"] for row in rows)}
