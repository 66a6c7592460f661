"""Load on a running mesh: steady (spec 8.2), throughput, many operations at once."""
import json
import re
import subprocess
import threading
import time

from benches.common import BUILD, UPPER, Mesh, BenchError, build, cores, header, lost, median, progress, quantile


def way_quantile_ms(counters, q, since=None):
    """Quantile of the chat's histogram; a bucket counts by its end."""
    buckets = {}
    for (name, key), value in counters.items():
        found = re.match(r'mesh_chat_way_total\{below_us="(\d+)"\}', key)
        if found:
            earlier = (since or {}).get((name, key), 0)
            buckets[int(found.group(1))] = buckets.get(int(found.group(1)), 0) + value - earlier
    total, seen = sum(buckets.values()), 0
    for below in sorted(buckets):
        seen += buckets[below]
        if total and seen >= q * total:
            return below / 1000
    return None


def way_mean_ms(counters, since):
    """Mean of the same histogram, a bucket counting by its end: for comparisons, not as a figure."""
    weight = total = 0
    for (name, key), value in counters.items():
        found = re.match(r'mesh_chat_way_total\{below_us="(\d+)"\}', key)
        if found:
            count = value - since.get((name, key), 0)
            weight, total = weight + count * int(found.group(1)), total + count
    return round(weight / total / 1000, 3) if total else None


SPEC_MEAN_MS = 2970  # of an agent's messages: of 30,000 agents 10,100 in a second (spec 8.2)


def chat_round(mesh, seconds, mean_ms):
    """The agents' own messages for a while, measured once all have begun: rate, ways, processors, what was not heard."""
    lead_in_s, zero = 2 + mean_ms / 1000, mesh.counters()
    console = subprocess.Popen(
        [BUILD / "mesh", "--config", mesh.config, "ask", f"{mean_ms} {round(seconds + lead_in_s + 5)} 200 10", "--action", "chat",
         "--unchecked", "--all", "--timeout", f"{seconds + 60}s", "--json"], stdout=subprocess.PIPE, text=True)
    time.sleep(lead_in_s)
    before, first, begin = mesh.cpu_s(), mesh.counters(), time.monotonic()
    rss, broadcasts, reached = {}, 0, []
    while time.monotonic() - begin < seconds:
        reached.append(mesh.console("broadcast", "steady state", "--priority", "1", "--timeout", "20s")["states"]["ready"])
        broadcasts += 1
        rss = max(rss, mesh.rss_by_part(), key=lambda parts: sum(parts.values()))
        time.sleep(max(0.0, min(10.0, seconds - (time.monotonic() - begin))))
    spent = time.monotonic() - begin
    busy, second = cores(before, mesh.cpu_s(), spent), mesh.counters()
    answer = json.loads(console.communicate(timeout=seconds + 120)[0])
    time.sleep(5)  # what is under way arrives, and is acknowledged
    end = mesh.counters()

    def grown(key, since, until):
        return mesh.total(until, key) - mesh.total(since, key)
    said, heard = grown("mesh_chat_said_total", zero, end), grown("mesh_chat_heard_total", zero, end)
    return {"seconds": round(spent, 1), "messages_per_second": round(grown("mesh_chat_heard_total", first, second) / spent),
            "asked_per_second": round(mesh.info["agents"] * 1000 / mean_ms),
            "frames_per_second": round(grown("mesh_frames_sent_total", first, second) / spent),
            "cpu_cores": round(sum(busy.values()), 3), "cpu_by_part": busy,
            "p50_ms": way_quantile_ms(second, 0.5, first), "p99_ms": way_quantile_ms(second, 0.99, first),
            "mean_ms": way_mean_ms(second, first), "rss_mib": round(sum(rss.values()), 1), "rss_by_part": rss,
            "said": int(said), "heard": int(heard),
            "acknowledged": int(grown('mesh_notes_total{note="relayed"}', zero, end)), "dropped": int(said - heard),
            "broadcasts": broadcasts, "broadcast_ready_least": min(reached), "lost": lost(mesh, end), "chat_ready": answer["states"]["ready"]}


def bench_steady(options):
    """Heartbeats alone, then with the agents' own messages (10,000 a second within clusters, 100
    beyond) and a broadcast every ten seconds: of low priority, as what nobody waits for, so that it goes out
    in shares beside the messages."""
    result = header(options)
    seconds = options.seconds or 60
    with Mesh(options, options.delay or "none") as mesh:
        mesh.wait_active(0.999)
        time.sleep(15)  # the first records are written, clocks are known
        before, begin = mesh.cpu_s(), time.monotonic()
        time.sleep(min(20, seconds))
        beats = cores(before, mesh.cpu_s(), time.monotonic() - begin)
        idle = mesh.rss_by_part()
        progress(f"steady: heartbeats alone {beats}, MiB {idle}")
        row = chat_round(mesh, seconds, SPEC_MEAN_MS)
    return result | {"heartbeat_cpu_cores": round(sum(beats.get(p, 0) for p in UPPER), 3), "heartbeat_cpu_by_part": beats,
                     "rss_idle_mib": round(sum(idle.values()), 1), "rss_idle_by_part": idle} | row


class Consoles:
    """bench-load processes, one a console; results once they have ended."""

    def __init__(self, mesh, jobs, priority=2):
        self.processes = [subprocess.Popen([BUILD / "bench-load", "--priority", str(priority), mesh.config, *map(str, job)],
                                           stdout=subprocess.PIPE, text=True) for job in jobs]

    def results(self, timeout):
        found = []
        for process in self.processes:
            out = process.communicate(timeout=timeout)[0]
            if not out.strip():
                raise BenchError("a console of the load ended without a result")
            found.append(json.loads(out))
        return found


def sum_of(rows, key):
    return sum(row[key] for row in rows)


def latency_ms(rows, q):
    """Quantile over the operations of all consoles."""
    return round((quantile([us for row in rows for us in row["latencies_us"]], q) or 0) / 1000, 2)


def notes(mesh, before, after, note):
    key = f'mesh_notes_total{{note="{note}"}}'
    return int(mesh.total(after, key) - mesh.total(before, key))


def bench_throughput(options):
    """Four consoles, each with an operation in flight over some of its own sectors, all agents taking
    part: every target of an operation is one message through a lead to an agent and its acknowledgement
    back, in order (sequence numbers by lead, agent and priority), signed, 200 bytes of payload, one
    lead's thirty in a frame. The latency is that of whole operations at the console, which bounds
    that of every message in them."""
    build("bench-load")
    result = header(options)
    seconds, consoles = options.seconds or 20, 4
    with Mesh(options, options.delay or "none") as mesh:
        mesh.wait_active(0.999)
        mesh.console("ask", "x" * 64, "--all", "--timeout", "30s")
        time.sleep(6)
        sectors = mesh.info["sectors"]
        groups = max(1, sectors // options.sectors_each)
        places = [f"s[{1 + i * sectors // groups}-{(i + 1) * sectors // groups}]" for i in range(groups)]
        jobs = [[options.in_flight, seconds, 200, "probe", 10000, *places[i::consoles]] for i in range(min(consoles, groups))]
        before, cpu, begin = mesh.counters(), mesh.cpu_s(), time.monotonic()
        rows = Consoles(mesh, jobs).results(seconds + 90)
        spent = time.monotonic() - begin
        busy = cores(cpu, mesh.cpu_s(), spent)
        time.sleep(1.3)
        after = mesh.counters()
        executed = notes(mesh, before, after, "executed")
        targets = sum_of(rows, "ready")
        period = median([row["seconds"] for row in rows])
    return result | {"messages_per_second": round(targets / period), "p50_ms": latency_ms(rows, 0.5),
                     "p99_ms": latency_ms(rows, 0.99), "operations": sum_of(rows, "operations"),
                     "messages": targets, "executed": executed,
                     "out_of_order": notes(mesh, before, after, "out-of-order"),
                     "duplicated": executed - targets, "resent": sum_of(rows, "resent"), "wrong_sums": sum_of(rows, "wrong_sums"),
                     "refused": sum_of(rows, "refused"), "cpu_cores": round(sum(busy.values()), 3), "cpu_by_part": busy,
                     "consoles": len(jobs), "in_flight": options.in_flight * len(jobs), "payload_bytes": 200,
                     "messages_per_frame_most": 30, "lost": lost(mesh, after)}


def watch_in_flight(mesh, stop, most):
    while not stop.is_set():
        try:
            most.append(mesh.console("status")["operations_in_flight"])
        except (BenchError, KeyError, subprocess.TimeoutExpired):
            pass
        stop.wait(0.5)


def small_beside(mesh, seconds, wide_priority, small_priority=2):
    """One console's small operations (one cluster each), one after the other, beside mesh-wide ones of another console,
    one after the other as well; wide_priority None: beside nothing. Results of both."""
    sectors = mesh.info["sectors"]
    wide = Consoles(mesh, [] if wide_priority is None else [[1, seconds + 2, 64, "echo", 30000, f"s[1-{sectors}]"]], wide_priority)
    time.sleep(1)
    places = [f"s{1 + 7 * i % sectors}.c{1 + i % 10}" for i in range(40)]
    small = Consoles(mesh, [[1, seconds, 64, "echo", 10000, *places]], small_priority).results(seconds + 60)
    return small[0], (wide.results(seconds + 90) or [None])[0]


def bench_many(options):
    """1,000 operations in flight from 8 consoles over overlapping selections; then small operations
    (one cluster) beside mesh-wide ones, one after the other: of the same priority (the bar), and urgent ones
    (priority 3) beside nothing and beside the background (priority 0), which goes out in shares."""
    build("bench-load")
    result = header(options)
    seconds = options.seconds or 15
    with Mesh(options, options.delay or "none") as mesh:
        mesh.wait_active(0.999)
        mesh.console("ask", "x" * 64, "--all", "--timeout", "30s")
        time.sleep(6)
        sectors = mesh.info["sectors"]
        jobs = []
        for console in range(8):
            places = [f"s{1 + (7 * i + 3 * console) % sectors}.c[1-{1 + i % 5}]" for i in range(25)]
            places += [f"s[{1 + i}-{min(sectors, 2 + i)}].c{1 + i % 10}" for i in range(0, min(sectors, 20), 2)]
            jobs.append([125, seconds, 64, "echo", 30000, *places])
        stop, in_flight = threading.Event(), []
        watcher = threading.Thread(target=watch_in_flight, args=(mesh, stop, in_flight))
        watcher.start()
        before = mesh.counters()
        rows = Consoles(mesh, jobs).results(seconds + 120)
        stop.set()
        watcher.join()
        rss = mesh.rss_mib()
        progress(f"many: {sum_of(rows, 'operations')} operations, {max(in_flight, default=0)} seen in flight")
        small, wide = small_beside(mesh, seconds, 2)
        alone, _ = small_beside(mesh, seconds, None, 3)
        urgent, background = small_beside(mesh, seconds, 0, 3)
        after = mesh.counters()
    return result | {"operations": sum_of(rows, "operations"), "in_flight": 1000, "in_flight_seen": max(in_flight, default=None),
                     "refused": sum_of(rows, "refused"), "errors": sum_of(rows, "errors"),
                     "unfinished": sum_of(rows, "unfinished"), "wrong_sums": sum_of(rows, "wrong_sums"),
                     "targets": sum_of(rows, "targets"), "ready": sum_of(rows, "ready"), "rss_mib": round(rss, 1),
                     "many_p50_ms": latency_ms(rows, 0.5), "many_p99_ms": latency_ms(rows, 0.99),
                     "p50_ms": small["p50_ms"], "p99_ms": small["p99_ms"],
                     "small_operations": small["operations"], "wide_operations": wide["operations"],
                     "wide_p50_ms": wide["p50_ms"], "alone_p50_ms": alone["p50_ms"], "alone_p99_ms": alone["p99_ms"],
                     "beside_background_p50_ms": urgent["p50_ms"], "beside_background_p99_ms": urgent["p99_ms"],
                     "background_operations": background["operations"], "background_p50_ms": background["p50_ms"],
                     "background_targets": background["targets"], "background_ready": background["ready"],
                     "executed": notes(mesh, before, after, "executed"), "lost": lost(mesh, after)}
