"""Threat drills on real processes: an attacker with real keys does what is not his, and the time to
the answer is measured. The mesh is that of tests/e2e; what is shut out is let in again at the end.

Figures in seconds, from the deed that is enough (the third) to the effect:
  quarantine_s  a process is refused by every other one (and its agents get no work)
  isolation_s   a lead is refused by every other one;  takeover_s: all of its agents serve again
  freeze_s      every agent stands still
  revocation_s  a certificate is revoked in one keys directory, and every process holds its peers to it
  timing_s      from the first false claim of half a cluster to the row of the audit log: what is learnt of it is locked
"""
import json
import math
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FULL = 10  # rogues of a full drill; with fewer the lead is left to the hostile frames of tests/e2e
AT_ONCE = 20  # of them shut out at a time; a mesh shuts out 32
LIES = "MESH_SIM_LIES"  # sim/live.c; it must be set when the mesh is started


def quantile(values, share):
    """By nearest rank: of few, the 0.99 is the worst."""
    return round(sorted(values)[math.ceil(share * len(values)) - 1], 3)


class Drill:
    def __init__(self, m, audit_rows, failure):
        self.m, self.audit_rows, self.failure = m, audit_rows, failure
        self.keys = m.run_dir / "keys"

    def need(self, condition, what):
        if not condition:
            raise self.failure(what)

    def tool(self, *words):
        subprocess.run([ROOT / "build/mesh-keys", *map(str, words)], check=True, capture_output=True)

    def permissions(self):
        subprocess.run([ROOT / "deploy/permissions", "--run", self.m.run_dir], check=True, capture_output=True)

    def deed(self, name, to, times=3):
        """An agent's hello by somebody who may not speak for that agent, or not offer so much. The
        time of the third, at the latest."""
        for _ in range(times):
            at = time.monotonic()
            done = subprocess.run([ROOT / "build/bench-impostor", self.m.setting("nats_url"), self.keys, name, self.keys, name,
                                   to, "s01.c1.a1", "s01.c1", "hello", "1", "7"], capture_output=True, text=True, timeout=120)
            self.need(done.returncode == 0, f"{name}: {done.stderr}")
        return at

    def others(self, without=()):
        """Processes of the mesh that run now."""
        conf = (self.m.run_dir / "mesh.conf").read_text()
        alive = lambda pid: (stat := pathlib.Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rsplit(") ", 1)[1][0] != "Z"
        return [n for n, pid in self.m.processes().items() if f"[process {n}]" in conf and n not in without and alive(pid)]

    def excluded(self, count, without=()):
        """Waits until every process but those has so many in its list; the time."""
        names = self.others(without)
        deadline = time.monotonic() + 30
        while self.m.metric(r"^mesh_excluded") < count * len(names):
            self.need(time.monotonic() < deadline, f"not shut out: {self.m.metric(r'^mesh_excluded')} of {count * len(names)}")
            time.sleep(0.02)
        return time.monotonic()

    def threat(self, who):
        """The row of the audit log that says that `who` was answered."""
        def found():
            rows = [r for r in self.audit_rows(self.m, "threat") if f'"process {who}"' in r["body"] and '"answered"' in r["body"]]
            return rows[-1] if rows else None
        return self.m.wait(f"the threat {who} in the audit log", found, 60)

    def clear(self, who, operator="operator"):
        done = self.m.console("--operator", operator, "threats", "clear", self.threat(who)["subject"])
        self.need(done.returncode == 0, f"clear {who}: exit {done.returncode} {done.stdout}{done.stderr}")

    def back(self, name):
        """What was shut out and has stopped is certified anew and started again."""
        self.clear(name)
        time.sleep(1.1)  # a certificate's epoch is in seconds
        self.tool("rotate", self.keys, name)
        done = subprocess.run([ROOT / "deploy/resume", "--run", self.m.run_dir], capture_output=True, text=True, timeout=150)
        self.need(done.returncode == 0, done.stderr[-300:])
        self.m.whole()

    def rogues(self, count, first=11):
        """Certified by mistake, or stolen: processes that are in no plan."""
        if count > AT_ONCE:
            return self.rogues(AT_ONCE, first) + self.rogues(count - AT_ONCE, first + AT_ONCE)
        names = [f"rogue-{i}" for i in range(first, first + count)]
        for i, name in enumerate(names):
            self.tool("issue", self.keys, name, "sim", f"s01,h{9100 + first + i}", "0x1")
        self.permissions()
        lead = next(n for n in self.m.processes() if n.startswith("cluster") and "01" in self.m.setting_of(n, "units"))
        times, before = [], round(self.m.metric(r"^mesh_excluded") / len(self.others()))
        for i, name in enumerate(names):
            at = self.deed(name, lead)
            times.append(self.excluded(before + i + 1) - at)
        listed = self.m.console("threats").stdout
        self.need(all(name in listed for name in names) and "rogue_agent" in listed, f"threats: {listed}")
        row = self.threat(names[0])
        shown = self.m.console("threats", "show", row["subject"]).stdout
        self.need("record-capability" in shown and "shut out" in shown, shown)
        for name in names:
            self.clear(name)
            (self.keys / f"{name}.cert").unlink()
        self.excluded(0)
        self.permissions()
        return times

    def versions(self):
        """The version of the trust bundle in force, of the process that is furthest behind."""
        names = self.others()
        return min(self.m.metric_of(r"^mesh_trust_version", name) for name in names)

    def revocations(self, count):
        """Names that were issued and are revoked one by one: from the command to the last process."""
        times = []
        for i in range(count):
            self.tool("issue", self.keys, f"gone-{i}", "sim", f"s01,h{8000 + i}", "0x1")
            before, at = self.versions(), time.monotonic()
            self.tool("revoke", self.keys, f"gone-{i}")
            while self.versions() <= before:
                self.need(time.monotonic() < at + 30, f"gone-{i}: not every process has the bundle")
                time.sleep(0.02)
            times.append(time.monotonic() - at)
            (self.keys / f"gone-{i}.cert").unlink()
        return times

    def host(self, name="sim-2"):
        """A host's keys are stolen: it stops, and no work goes to its agents."""
        at = self.deed(name, next(n for n in self.m.processes() if n.startswith("cluster") and "01" in self.m.setting_of(n, "units"))
                       if name == "sim-1" else "cluster-2")
        took = self.excluded(1, [name]) - at
        self.m.wait("its agents are in quarantine", lambda: self.m.json("status")["agents_active"] < self.m.agents, 60)
        self.m.wait("it stops", lambda: "msg=shut-out" in (self.m.run_dir / "log" / f"{name}.log").read_text(), 60)
        self.back(name)
        return took

    def lead(self, name="cluster-1"):
        """A lead's keys are stolen: it is isolated, and a standby takes over."""
        takeovers = self.m.metric(r"^mesh_takeovers_total", name)  # what it counted itself ends with it
        at = self.deed(name, name.replace("cluster", "sector"))  # that of its own agents: it stands above it
        isolated = self.excluded(1, [name]) - at
        self.m.wait("a standby takes over", lambda: self.m.metric(r"^mesh_takeovers_total", name) > takeovers, 60)
        self.m.wait("its agents serve", lambda: self.m.json("ask", "x", "--all")["states"]["ready"] >= 0.95 * self.m.agents, 60)
        served = time.monotonic() - at
        self.back(name)
        return isolated, served

    def serves(self, name):
        """A process that was away has its units back, and not only stands by."""
        said = lambda: (self.m.run_dir / "log" / f"{name}.log").read_text()
        self.m.wait(f"{name} has its units back", lambda: said().rfind("msg=serving") > said().rfind("msg=standby"), 90)

    def timing(self, cluster):
        """Half of a cluster claims, from one moment on, to have been done 1 s later than it was."""
        lies = pathlib.Path(os.environ[LIES])
        ask = lambda: self.m.json("ask", "x", "--all", "--on", cluster)["states"]["ready"]
        heard = 0
        while heard < 16:  # so many answers of each, until it is judged, and by a calm prediction
            heard += 1 if ask() == 30 else 0
        lies.write_text(f"{cluster} 15 1000000\n")
        time.sleep(0.25)  # it is looked at every 0.2 s, and nobody is asked until then
        at = time.time()
        try:
            while True:
                ask()
                rows = [r for r in self.audit_rows(self.m, "threat") if r["type"] == "timing_attack" and r["agent"] == cluster
                        and r["at_us"] / 1e6 >= at]
                if rows:
                    break
                self.need(time.time() < at + 30, f"{cluster}: nothing is said of the false claims")
        finally:
            lies.unlink()
        self.need('"answered"' in rows[0]["body"] and "locked" in rows[0]["body"], rows[0]["body"])
        self.m.console("threats", "clear", rows[0]["subject"])
        return rows[0]["at_us"] / 1e6 - at

    def operator(self, name="operator-2"):
        """An admin's keys are stolen and used for what is no operator's: the mesh stands still."""
        self.tool("issue", self.keys, name, "console", "mesh")
        self.permissions()
        done = self.m.console("--operator", name, "status")
        self.need(done.returncode == 0, done.stderr)
        stood = self.m.metric(r'^mesh_notes_total\{.*"frozen"')
        at = self.deed(name, "orchestrator")
        while self.m.metric(r'^mesh_notes_total\{.*"frozen"') < stood + self.m.agents:
            self.need(time.monotonic() < at + 20, "not all agents stand still")
            time.sleep(0.02)
        took = time.monotonic() - at
        self.need(self.m.json("status")["frozen"], "status does not say so")
        done = self.m.console("thaw", "all")
        self.need(done.returncode == 6 and "because of threat" in done.stderr, f"thaw: {done.returncode} {done.stdout}{done.stderr}")
        self.need(self.m.console("--operator", name, "status").returncode != 0, "who was shut out is answered")
        self.clear(name)
        done = self.m.console("thaw", "all")
        self.need(done.returncode == 0, f"thaw: {done.stdout}{done.stderr}")
        (self.keys / f"{name}.cert").unlink()
        self.permissions()
        return took


def words(d):
    for words, needle in [(["threats", "show"], "id: is missing"), (["threats", "list", "x"], "contradicts 'threats list'"),
                          (["threats", "clear", "xyz"], "16 hex digits"), (["threats", "show", "0" * 15 + "1"], "no threat of that name"),
                          (["approve", "0" * 15 + "1"], "nothing of that number waits")]:
        done = d.m.console(*words)
        d.need(done.returncode in (2, 5) and needle in done.stderr, f"{words}: {done.returncode} {done.stdout}{done.stderr}")


def run(m, audit_rows, failure, rogue_count):
    """The short drills of tests/e2e: a few of each, the worst is told."""
    d = Drill(m, audit_rows, failure)
    words(d)
    rogues, host = d.rogues(rogue_count), d.host()
    isolated, served = d.lead() if rogue_count >= FULL else (None, None)
    timing = d.timing("s01.c2")
    frozen = d.operator()
    figures = {"quarantine_s": quantile(rogues + [host], 0.99), "quarantines": len(rogues) + 1, "freeze_s": round(frozen, 3),
               "timing_s": round(timing, 3)}
    if isolated is not None:
        figures |= {"isolation_s": round(isolated, 3), "takeover_s": round(served, 3)}
    print(json.dumps({"drills": figures}), flush=True)


def figure(values):
    return {"count": len(values), "p50_s": quantile(values, 0.5), "p99_s": quantile(values, 0.99), "worst_s": quantile(values, 1)}


def figures(taken):
    """For each figure its median, its p99 and the worst."""
    return {what: figure(values) for what, values in taken.items() if values}


def measure(m, audit_rows, failure, quarantines, freezes, isolations, timings, revocations, taken, progress):
    """So many of each, into taken."""
    d = Drill(m, audit_rows, failure)
    taken |= {"quarantine": [], "freeze": [], "isolation": [], "takeover": [], "timing": [], "revocation": []}
    taken["revocation"] += d.revocations(revocations)
    if revocations:
        progress(f"{revocations} revocations: {figure(taken['revocation'])}")
    for first in range(0, quarantines, AT_ONCE):
        taken["quarantine"] += d.rogues(min(AT_ONCE, quarantines - first), 1000 + first)
        progress(f"{len(taken['quarantine'])} quarantines: {figure(taken['quarantine'])}")
    clusters = [f"s{s:02}.c{c}" for s in range(1, 100) for c in range(1, 11)][:m.agents // 30]
    for i in range(timings):
        taken["timing"].append(d.timing(clusters[i % len(clusters)]))
    progress(f"{timings} timing attacks")
    for i in range(freezes):
        taken["freeze"].append(d.operator(f"operator-{1000 + i}"))
    if freezes:
        progress(f"{freezes} freezes: {figure(taken['freeze'])}")
    leads = [n for n in m.processes() if n.startswith("cluster")]
    for i in range(isolations):
        name = leads[i % len(leads)]
        d.serves(name)
        isolated, served = d.lead(name)
        taken["isolation"].append(isolated)
        taken["takeover"].append(served)
        progress(f"{i + 1} isolations: {figure(taken['isolation'])}, takeover {figure(taken['takeover'])}")
