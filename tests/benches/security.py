"""What the security of the mesh costs, and what an attack costs the others: refusals, a flood of bad
frames, a flood of valid ones, a rotation of all keys, and the mesh with its links in the clear beside
itself as it is."""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

from benches.common import BUILD, ROOT, BenchError, Mesh, busy_cores, header, median, progress
from benches.load import SPEC_MEAN_MS, chat_round

sys.path.insert(0, str(ROOT / "tests/support"))
import processes  # noqa: E402
from natsraw import Nats  # noqa: E402

SERVERS = ("nats", "redis", "redis-durable")


def refusals(runs):
    """CPU time of refusing, in the acceptance function alone."""
    rows = []
    for _ in range(runs):
        out = subprocess.run([BUILD / "mesh-hostile", "--flood"], capture_output=True, text=True, check=True, timeout=300).stdout
        rows.append(json.loads(out))
        progress(f"security: refused in {rows[-1]['refused_us']} us, {rows[-1]['verify_cores']} cores under a flood")
    keys = ["refused_us", "refused_per_cpu_s", "verify_cores", "verify_cores_unlimited", "flood_per_s", "signatures_per_s"]
    return {k: statistics.median(r[k] for r in rows) for k in keys} | {"by_stage_us": rows[0]["by_stage_us"]}


# ---- a flood of bad frames over real NATS ----

def capture(mesh, source, destination):
    """A real frame of one process to another: what a thief of its link would have."""
    port = int(re.search(r":(\d+)", mesh.info["nats_url"]).group(1))
    with Nats(port, mesh.run / "keys", destination) as nats:
        nats.subscribe(f"mesh.p.{destination}.>")
        nats.flush()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            one = nats.next()
            if one and one[1] and one[0].split(".")[4] == source and one[1][20] & 1 == 0:
                return one
    raise BenchError(f"no frame without a chain from {source} to {destination}")


def load(mesh, seconds, places, *more, in_flight=2):
    return subprocess.Popen([BUILD / "bench-load", *more, mesh.config, str(in_flight), str(seconds), "64", "echo", "10000", *places],
                            stdout=subprocess.PIPE, text=True)


def finished(process, what, timeout=120):
    out = process.communicate(timeout=timeout)[0]
    if not out.strip():
        raise BenchError(f"{what} ended without a result")
    return json.loads(out.splitlines()[-1])


def flood_round(mesh, frame_file, subject, seconds, others, sink):
    """p99 of the others' operations while the flood runs, and what the flood was."""
    url, keys = mesh.info["nats_url"], mesh.run / "keys"
    flood = [BUILD / "bench-flood", url, keys, "sim-1", "send", subject, frame_file, "200000", str(seconds)]
    taker = None
    if sink:
        taker = subprocess.Popen([BUILD / "bench-flood", url, keys, "flood-sink", "sink", "mesh.p.flood-sink.>", str(seconds + 2)],
                                 stdout=subprocess.PIPE, text=True)
        if taker.stdout.readline().strip() != "ready":
            raise BenchError("the sink does not start")
    before = mesh.cpu_s()
    sender = subprocess.Popen(flood, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    row = finished(load(mesh, seconds - 1, others), "the load")
    sent = finished(sender, "the flood")
    after = mesh.cpu_s()
    if taker:
        finished(taker, "the sink")
    if row["operations"] == 0:
        raise BenchError("no operation of the others ended while the flood ran: more --seconds")
    spent = sent["seconds"]
    return row["p99_ms"], sent["frames"] / spent, (after["cluster-1"] - before["cluster-1"]) / spent, row


def let_back(mesh, name):
    """A flood shuts its author out, and ends it: cleared, and started again."""
    deadline = time.monotonic() + 30
    while True:
        ids = [line.split()[0] for line in mesh.console("threats")["lines"] if f"process {name}:" in line and " answered" in line]
        if ids:
            break
        if time.monotonic() > deadline:
            raise BenchError(f"the flood of {name} is no threat")
        time.sleep(0.3)
    mesh.console("threats", "clear", ids[0])
    time.sleep(1)
    done = subprocess.run([ROOT / "deploy/resume", "--run", mesh.run, "--wait", "240"], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{name} does not come back: {done.stderr[-400:]}")
    mesh.wait_active(0.99)


def flood_of_bad(mesh, options):
    """The same frames to a lead process that verifies and to one that only takes them."""
    sectors, seconds = mesh.info["sectors"], options.seconds or 8
    others = [f"s{sectors - i}" for i in range(min(4, max(1, sectors // 2)))]
    path = mesh.run / "flood.frame"
    quiet = finished(load(mesh, seconds - 1, others), "the load")
    ours, alone, rates, cpu = [], [], [], []
    before = mesh.counters()
    for _ in range(3):  # a frame of the session that runs: who was let back has a new one
        subject, frame = capture(mesh, "sim-1", "cluster-1")
        path.write_bytes(frame[:-1] + bytes([frame[-1] ^ 1]))
        sink_subject = subject.replace("mesh.p.cluster-1.", "mesh.p.flood-sink.")
        p99, rate, _, _ = flood_round(mesh, path, sink_subject, seconds, others, True)
        alone.append(p99)
        p99, rate, used, _ = flood_round(mesh, path, subject, seconds, others, False)
        ours.append(p99)
        rates.append(rate)
        cpu.append(used)
        let_back(mesh, "sim-1")
        progress(f"security: p99 of others {ours[-1]} ms under the flood, {alone[-1]} ms with NATS alone, {rate:.0f} frames/s")
    time.sleep(1.5)
    after = mesh.counters()
    delta = lambda key: mesh.total(after, key) - mesh.total(before, key)
    return {"flood_p99_ratio": round(median(ours) / max(0.01, median(alone)), 3), "flood_p99_ms": median(ours),
            "flood_alone_p99_ms": median(alone), "quiet_p99_ms": quiet["p99_ms"], "flood_sent_per_s": round(median(rates)),
            "flood_victim_cores": round(median(cpu), 3), "flood_refused": int(delta("mesh_frames_refused_total"))}


# ---- a flood of valid, low-priority operations ----



def control(mesh, stop, result):
    """Control commands as an operator gives them, one after the other; those without an answer are lost."""
    while not stop.is_set():
        done = subprocess.run([BUILD / "mesh", "--config", mesh.config, "status", "--json"], capture_output=True, text=True, timeout=60)
        result["asked"] += 1
        result["lost"] += done.returncode != 0
        stop.wait(0.2)


def silences(mesh, counters):
    return sum(mesh.total(counters, f'mesh_notes_total{{note="{n}"') for n in ("child-suspect", "child-down", "parent-down", "self-blame"))


def valid_flood(mesh, options):
    """Normal load of priority 2, open loop; then the same beside ten times as much of priority 0."""
    sectors, seconds, every_ms = mesh.info["sectors"], options.seconds or 10, 50
    places = [f"s{1 + i}.c1" for i in range(min(8, sectors))]
    normal = lambda: load(mesh, seconds, places, "--every-ms", str(every_ms), in_flight=200)
    finished(normal(), "the warm-up")
    result, stop = {"asked": 0, "lost": 0}, threading.Event()
    watcher = threading.Thread(target=control, args=(mesh, stop, result))
    before, calm, busy, low = mesh.counters(), [], [], []
    for i in range(3):
        calm.append(finished(normal(), "the normal load"))
        if i == 0:
            watcher.start()
        flood = [subprocess.Popen([BUILD / "bench-load", "--priority", "0", "--every-ms", str(every_ms // 5), mesh.config, "200",
                                   str(seconds + 2), "64", "echo", "10000", *places], stdout=subprocess.PIPE, text=True)
                 for _ in range(2)]  # 5 times the rate each
        time.sleep(1)
        busy.append(finished(normal(), "the load under the flood"))
        low += [finished(f, "the flood") for f in flood]
    stop.set()
    watcher.join()
    time.sleep(1.5)
    silent = silences(mesh, mesh.counters()) - silences(mesh, before)
    status = mesh.console("status")
    away = status["agents"] - status["agents_active"]
    pick = lambda rows, key: median([r[key] for r in rows])
    began = sum(r["operations"] + r["refused"] + r["errors"] for r in low) * seconds / (seconds + 2)
    return {"control_lost": int(result["lost"] + silent + away), "control_asked": result["asked"], "heartbeats_missed": int(silent),
            "goodput": round(pick(busy, "ready") / max(1, pick(calm, "ready")), 4), "normal_ready": pick(calm, "ready"),
            "normal_p99_ms": pick(calm, "p99_ms"), "flooded_ready": pick(busy, "ready"), "flooded_p99_ms": pick(busy, "p99_ms"),
            "flood_refused_ops": sum(r["refused"] for r in low),
            "flood_factor": round(began / max(1, sum(r["operations"] for r in busy)), 2)}


# ---- all keys of the running mesh ----

def rotation(mesh):
    """New keys, certificates and TLS files for every process, taken under load; nothing may be lost."""
    names = [(n, int(pid)) for n, pid in mesh.processes() if n not in SERVERS]
    before = mesh.counters()
    moved = mesh.total(before, "mesh_bus_rotations_total")
    lost = mesh.total(before, "mesh_bus_lost_total") + mesh.total(before, "mesh_bus_rotations_failed_total")
    stop, rows = threading.Event(), []

    def asks():
        while not stop.is_set():
            rows.append(mesh.console("ask", "x", "--all", "--timeout", "20s"))

    asker = threading.Thread(target=asks)
    asker.start()
    time.sleep(1.1)  # a certificate's epoch is in seconds
    begin = time.monotonic()
    done = subprocess.run([BUILD / "mesh-keys", "rotate", mesh.run / "keys", "--all"], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"rotate --all: {done.stderr}")
    issued = time.monotonic() - begin
    for _, pid in names:
        os.kill(pid, signal.SIGHUP)
    deadline, taken = time.monotonic() + 300, False
    while time.monotonic() < deadline and not taken:
        time.sleep(0.2)
        taken = mesh.total(mesh.counters(), "mesh_bus_rotations_total") - moved >= len(names)
    took = time.monotonic() - begin
    time.sleep(2)
    stop.set()
    asker.join()
    after = mesh.counters()
    failed = mesh.total(after, "mesh_bus_lost_total") + mesh.total(after, "mesh_bus_rotations_failed_total") - lost
    unanswered = sum(r["targets"] - r["states"]["ready"] for r in rows)
    if not taken:
        raise BenchError("not every process has taken its new keys", rotation_s=round(took, 2))
    return {"rotation_s": round(took, 2), "rotation_issue_s": round(issued, 2), "rotation_processes": len(names),
            "rotation_operations": len(rows), "rotation_lost": int(failed + unanswered)}


# ---- the same mesh with its links in the clear ----

class TlsMesh(Mesh):
    """As deploy/up makes it, then ended, its registry emptied, and begun again by deploy/resume: what it is compared with
    can only begin so, and must not differ in anything else, not in the scheduling class of its processes either."""

    def __init__(self, options, delay, *more):
        super().__init__(options, delay, *more)
        try:
            for name, pid in self.processes():
                if not name.startswith("redis"):
                    processes.kill(int(pid))
            for bank in ([], ["--durable"]):
                self.run_ok([ROOT / "deploy/redis", "--run", self.run, *bank, "flushall"])
            self.configure()
            self.run_ok([ROOT / "deploy/resume", "--run", self.run, "--wait", "240"])
            self.wait_active(0.999)
        except BaseException:
            self.down()
            raise

    def run_ok(self, command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"{command[0].name}: {done.stderr[-400:]}")

    def configure(self):
        """Nothing is changed."""


class ClearMesh(TlsMesh):
    """Without TLS, subject permissions and the bucket of bad frames. Frames are signed and verified in
    both: that is the mesh's own protocol and has no switch."""

    def configure(self):
        nats = self.run / "nats.conf"
        text = re.sub(r"(?s)\ntls \{.*?\n\}\n", "\n", nats.read_text())
        nats.write_text(text.replace('include "nats-users.conf"\n', ""))
        conf = self.config.read_text().replace("nats_url = tls://", "nats_url = nats://", 1)
        self.config.write_text(conf.replace("[mesh]\n", "[mesh]\ninsecure = true\n", 1))
        self.info["nats_url"] = self.info["nats_url"].replace("tls://", "nats://")


ROUNDS = 8                  # of scatter, in each of a mesh's two turns, at least
SHARES = (0.5, 0.75, 1.0)   # of the load of spec 8.2; what is not carried at the least of them is not compared
CARRIED = 0.97              # of the messages asked for, and none dropped


def scatter_rounds(mesh, runs):
    """(ms, CPU ms of the mesh) of each: what the machine's other load does to the clock it does not do to CPU time."""
    rows = []
    for i in range(2 + max(runs, ROUNDS)):
        before = mesh.cpu_s()
        answer = mesh.console("ask", "x" * 64, "--all", "--timeout", "30s")
        after = mesh.cpu_s()
        if i >= 2:
            rows.append((answer["total_time_ms"], 1000 * sum(after[k] - before.get(k, 0) for k in after),
                         answer["targets"] - answer["states"]["ready"]))
    return rows


def steady_rounds(mesh, seconds):
    """Shares of the load from the smallest on, until one is not carried: {share: row}."""
    rows = {}
    for share in SHARES:
        row = rows[share] = chat_round(mesh, seconds, round(SPEC_MEAN_MS / share))
        row["carried"] = row["dropped"] == 0 and row["messages_per_second"] >= CARRIED * row["asked_per_second"]
        if not row["carried"]:
            break
    return rows


def scatter_result(turns):
    rows = {kind: [r for scatter, _ in turns[kind] for r in scatter] for kind in turns}
    unanswered = sum(r[2] for kind in rows for r in rows[kind])
    pick = {kind: [median([r[i] for r in rows[kind]]) for i in (0, 1)] for kind in rows}
    (ms, cpu), (clear_ms, clear_cpu) = pick[TlsMesh], pick[ClearMesh]
    void = f"{unanswered} agents did not answer" if unanswered else None
    return {"scatter_slowdown": None if void else round(ms / clear_ms - 1, 4), "scatter_void": void,
            "scatter_ms": ms, "scatter_clear_ms": clear_ms, "scatter_cpu_slowdown": round(cpu / clear_cpu - 1, 4)}


def steady_result(turns, agents):
    """At the largest share that each turn of both has carried; there is no figure when there is none."""
    all_rows = [rows for kind in turns for _, rows in turns[kind]]
    carried = [share for share in SHARES if all(rows.get(share, {}).get("carried") for rows in all_rows)]
    share = carried[-1] if carried else SHARES[0]
    of = {kind: [rows[share] for _, rows in turns[kind] if share in rows] for kind in turns}
    mean = {kind: {key: statistics.mean(row[key] for row in of[kind]) for key in ("mean_ms", "cpu_cores", "p99_ms", "messages_per_second")}
            for kind in of}
    secure, clear = mean[TlsMesh], mean[ClearMesh]
    least = round(SHARES[0] * agents * 1000 / SPEC_MEAN_MS)
    void = None
    if not carried:
        worst = [f"{kind.__name__} {row['messages_per_second']}/s, {row['dropped']} dropped" for kind in of for row in of[kind]]
        void = f"{least} messages/s are not carried by each turn: {'; '.join(worst)}"
    return {"steady_slowdown": None if void else round(secure["mean_ms"] / clear["mean_ms"] - 1, 4), "steady_void": void,
            "steady_cpu_slowdown": None if void else round(secure["cpu_cores"] / clear["cpu_cores"] - 1, 4),
            "steady_agents": agents, "steady_share": share, "steady_least_per_second": least,
            "steady_messages_per_second": round(secure["messages_per_second"]),
            "steady_clear_messages_per_second": round(clear["messages_per_second"]),
            "steady_mean_ms": round(secure["mean_ms"], 3), "steady_clear_mean_ms": round(clear["mean_ms"], 3),
            "steady_p99_ms": round(secure["p99_ms"], 1), "steady_clear_p99_ms": round(clear["p99_ms"], 1),
            "steady_cpu_cores": round(secure["cpu_cores"], 3), "steady_clear_cpu_cores": round(clear["cpu_cores"], 3)}


def links(options):
    """Each mesh alone, in turns (A, B, B, A): two beside each other on one machine measure each other's heartbeats."""
    turns = {TlsMesh: [], ClearMesh: []}
    for kind in (TlsMesh, ClearMesh, ClearMesh, TlsMesh):
        with kind(options, "none") as mesh:
            time.sleep(15)  # the first records are written, clocks are known
            scatter = scatter_rounds(mesh, options.runs)
            progress(f"security: {kind.__name__}: scatter {[round(r[0]) for r in scatter]} ms")
            steady = steady_rounds(mesh, options.seconds or 30)
            for share, row in steady.items():
                progress(f"security: {kind.__name__}: {row['messages_per_second']} of {row['asked_per_second']} messages/s, {row['dropped']} "
                         f"dropped, mean way {row['mean_ms']} ms, p99 {row['p99_ms']} ms, {row['cpu_cores']} cores")
            turns[kind].append((scatter, steady))
    return scatter_result(turns) | steady_result(turns, options.agents)


def on_one_mesh(mesh, options):
    """What runs beside a mesh that is up: the valid flood, the rotation, the flood of bad frames."""
    mesh.wait_active(0.999)
    subprocess.run([BUILD / "mesh-keys", "issue", mesh.run / "keys", "flood-sink", "cluster", "mesh"], check=True, capture_output=True)
    subprocess.run([ROOT / "deploy/permissions", "--run", mesh.run], check=True, capture_output=True)
    for _ in range(2):
        mesh.console("ask", "x" * 64, "--all", "--timeout", "30s")
    for name, act in (("valid flood", lambda: valid_flood(mesh, options)), ("rotation", lambda: rotation(mesh)),
                      ("flood of bad frames", lambda: flood_of_bad(mesh, options))):
        yield name, act


def bench_security(options):
    """All of it. A part that cannot be measured is named in `error`; the others are measured all the same."""
    done = subprocess.run(["cmake", "--build", BUILD, "--target", "mesh-hostile", "bench-load", "bench-flood"], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError("the build failed:\n" + done.stdout[-1500:])
    result, problems = header(options), []

    def part(name, act):
        try:
            row = act()
            progress(f"security: {name}: { {k: v for k, v in row.items() if not isinstance(v, dict)} }")
            result.update(row)
        except (BenchError, OSError, subprocess.SubprocessError, ValueError, KeyError) as problem:
            result.update(getattr(problem, "measured", {}))
            problems.append(f"{name}: {type(problem).__name__}: {problem}")
            progress(f"security: {problems[-1]}")

    def wanted(name):
        return options.part in (None, name)

    if wanted("refusals"):
        part("refusals", lambda: refusals(options.runs))
    if wanted("mesh"):
        try:
            with Mesh(options, "none") as mesh:
                for name, act in on_one_mesh(mesh, options):
                    part(name, act)
        except BenchError as problem:
            problems.append(f"mesh: {problem}")
    if wanted("links"):
        part("links", lambda: links(options))
    result["others_busy_cores_after"] = round(busy_cores(), 2)
    if problems:
        raise BenchError("; ".join(problems)[:600], **result)
    return result
