"""What the benchmarks share: the machine, a mesh of their own, its counters and its processor time."""
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
UPPER = ("nats", "redis", "redis-durable", "orchestrator", "sector", "cluster")  # all but the simulator


MARKS = []  # of the benchmark that runs, found while it ran


class BenchError(Exception):
    """What went wrong; `measured` is what was measured before it did."""

    def __init__(self, text, **measured):
        super().__init__(text)
        self.measured = measured


def progress(text):
    print(text, file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else None


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


def busy_cores(seconds=1.0):
    """Cores that others keep busy, before anything of ours runs."""
    def ticks():
        numbers = [int(x) for x in open("/proc/stat").readline().split()[1:]]
        return sum(numbers[:8]) - numbers[3] - numbers[4], sum(numbers[:8])
    busy, total = ticks()
    time.sleep(seconds)
    busy2, total2 = ticks()
    return os.cpu_count() * (busy2 - busy) / max(1, total2 - total)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"cores": os.cpu_count(), "cpu": model, "kernel": platform.release(), "others_busy_cores": round(busy_cores(), 2),
            "load_before": os.getloadavg()[0]}


def header(options):
    info = machine()
    marks = []
    if info["others_busy_cores"] > 0.1 * info["cores"]:
        marks.append(f"others keep {info['others_busy_cores']} of {info['cores']} cores busy")
    if info["cores"] < 2:
        marks.append("fewer than 2 cores: bars are for 2")
    for text in marks:
        progress(f"marked: {text}")
    return {"agents": options.agents, "seed": options.seed, "runs": options.runs, "machine": info, "noisy": bool(marks),
            "marks": marks, "signatures": "on", "verification": "on", "registry": "on", "acknowledgements": "on",
            "asserts": "on"}


def build(*targets):
    """The release build of the tree as it is now; with targets, those of the benchmarks as well."""
    progress("building (release) ...")
    for command in (["cmake", "--preset", "release"], ["cmake", "--build", "build"],
                    *([["cmake", "--build", "build", "--target", *targets]] if targets else [])):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError("the build failed:\n" + done.stdout[-1500:] + done.stderr[-1500:])


class Mesh:
    """A private mesh, up while the context is open."""

    def __init__(self, options, delay, *more):
        self.options = options
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="mesh-bench-"))
        try:
            done = subprocess.run(
                [ROOT / "deploy/up", "--agents", str(options.agents), "--no-console", "--json", "--no-build", "--delay", delay,
                 "--agents-per-host", str(options.agents_per_host), "--seed", str(options.seed), "--run", self.run, "--wait", "240", *more],
                capture_output=True, text=True)
        except BaseException:  # ended from outside: what was started until then goes as well
            self.down()
            raise
        if done.returncode != 0:
            log = done.stderr[-2000:]
            self.down()
            raise BenchError(f"the mesh did not come up:\n{log}")
        self.info = json.loads(done.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self):
        subprocess.run([ROOT / "deploy/down", "--run", self.run], capture_output=True)
        shutil.rmtree(self.run, ignore_errors=True)

    @property
    def config(self):
        return self.run / "mesh.conf"

    def console(self, *words, timeout=180):
        done = subprocess.run([BUILD / "mesh", "--config", self.config, *words, "--json"],
                              capture_output=True, text=True, timeout=timeout)
        if done.returncode not in (0, 3):
            raise BenchError(f"mesh {' '.join(words)}: exit {done.returncode}: {done.stdout[-400:]}{done.stderr[-400:]}")
        answer = json.loads(done.stdout)
        if "states" in answer and sum(answer["states"].values()) != answer["targets"]:
            raise BenchError(f"states do not add up: {answer['states']} for {answer['targets']} targets")
        return answer

    def wait_active(self, share, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.console("status")
            if status["agents_active"] >= share * status["agents"]:
                return
            time.sleep(0.3)
        MARKS.append(f"only {status['agents_active']} of {status['agents']} agents were active")
        progress(f"marked: {MARKS[-1]}")

    def counters(self):
        """{(process, name): value} of all /metrics pages; pages are a second old at most."""
        found = {}
        for section in self.config.read_text().split("[process ")[1:]:
            name, port = section.split("]")[0], re.search(r"metrics_port = (\d+)", section).group(1)
            body = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
            for line in body.splitlines():
                if line and not line.startswith("#"):
                    key, value = line.rsplit(" ", 1)
                    found[name, key] = float(value)
        return found

    def total(self, counters, prefix):
        return sum(v for (_, key), v in counters.items() if key.startswith(prefix))

    def processes(self):
        """(name, pid) of everything that deploy/up started."""
        for line in (self.run / "processes").read_text().splitlines():
            name, pid, _ = line.split()
            yield name, pid

    def cpu_s(self):
        """Processor seconds of each process so far, all threads, to the nanosecond."""
        spent = {}
        for name, pid in self.processes():
            try:
                spent[name] = sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0])
                                  for t in os.listdir(f"/proc/{pid}/task")) / 1e9
            except OSError:
                pass
        return spent

    def rss_by_part(self):
        """MiB of each part: processes of one kind together."""
        parts = {}
        for name, pid in self.processes():
            try:
                kib = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
            except (OSError, AttributeError):
                continue
            part = re.sub(r"-\d+$", "", name)
            parts[part] = parts.get(part, 0) + kib / 1024
        return {part: round(mib, 1) for part, mib in parts.items()}

    def rss_mib(self):
        return sum(self.rss_by_part().values())


def cores(before, after, seconds):
    """Cores used by each part: processes of one kind together."""
    parts = {}
    for name, spent in after.items():
        part = re.sub(r"-\d+$", "", name)
        parts[part] = parts.get(part, 0) + (spent - before.get(name, 0)) / seconds
    return {part: round(value, 4) for part, value in parts.items()}


def lost(mesh, counters):
    """Everything that was dropped, refused or found nobody, by name."""
    names = ("mesh_bus_dropped_total", "mesh_send_dropped_total", "mesh_undelivered_total", "mesh_refused_total",
             "mesh_frames_refused_total", "mesh_records_refused_total")
    found = {}
    for (_, key), value in counters.items():
        if key.startswith(names) and value > 0:
            found[key] = found.get(key, 0) + int(value)
    return found


def effects(mesh, before, after):
    """Effects at T as the simulators saw them by the machine's clock, which no agent's clock disturbs."""
    def grown(key):
        return int(mesh.total(after, key) - mesh.total(before, key))
    when = {k: grown(f'mesh_effects_total{{when="{k}"}}') for k in ("within", "early", "late", "unknown")}
    buckets = {}
    for key in {key for _, key in after if key.startswith("mesh_effect_error_total")}:
        buckets[int(re.search(r'below_us="(-?\d+)"', key).group(1))] = grown(key)
    total, seen, ends = sum(buckets.values()), 0, {}
    for below in sorted(buckets):
        seen += buckets[below]
        for q in (0.05, 0.5, 0.95):
            if total and q not in ends and seen >= q * total:
                ends[q] = below / 1000
    known = when["within"] + when["early"] + when["late"]
    return {"effects": known, "effect_hit_rate": round(when["within"] / known, 4) if known else None,
            "effect_late": when["late"], "effect_early": when["early"], "effect_unknown": when["unknown"],
            "effect_error_below_ms": {"p5": ends.get(0.05), "p50": ends.get(0.5), "p95": ends.get(0.95)}}


def frames(mesh):
    """Of all processes so far: signatures made (frames that leave together share one) and verified, operations' own
    included; frames sent and accepted, each of which is digested once; bytes of the frames."""
    time.sleep(1.3)  # pages are made once a second
    c = mesh.counters()
    signed = mesh.total(c, "mesh_signatures_made_total") + mesh.total(c, "mesh_operations_sealed_total")
    verified = mesh.total(c, "mesh_signatures_verified_total") + mesh.total(c, 'mesh_operations_received_total{verdict="ok"}')
    return (signed, verified, mesh.total(c, "mesh_frames_sent_total"), mesh.total(c, "mesh_frames_accepted_total"),
            mesh.total(c, "mesh_bus_published_bytes_total"))
