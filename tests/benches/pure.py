"""Pure computation: times, and instructions that a noisy machine does not blur."""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import tempfile

from benches.common import BUILD, ROOT, BenchError, build, header, median, progress

BASELINE = ROOT / "tests/baseline/instructions.json"
# Runs a round, and what a count is divided by to be that of one.
COUNTED = {"ack_encode": (2000, 2000), "ack_decode": (2000, 2000), "operate_encode": (500, 500), "relay_decode": (1000, 1000),
           "predict": (30000, 30000), "observe": (1, 30000), "schedule": (1, 1), "aggregate": (1, 1)}
LIMIT = 1.05


def times(options):
    build("bench-pure")
    rows = {}
    for _ in range(options.runs):
        out = subprocess.run([BUILD / "bench-pure"], capture_output=True, text=True, check=True, timeout=300).stdout
        for line in out.splitlines():
            name, ns = line.split()
            rows.setdefault(name, []).append(float(ns))
    return {name: min(values) for name, values in rows.items()}  # other load only adds


def bench_codec(options):
    result, ns = header(options), times(options)
    return result | {"encode_us": round(ns["ack_encode"] / 1000, 4), "decode_us": round(ns["ack_decode"] / 1000, 4),
                     "operate_encode_us": round(ns["operate_encode"] / 1000, 4),
                     "relay_decode_us": round(ns["relay_decode"] / 1000, 4)}


def bench_schedule(options):
    result, ns = header(options), times(options)
    return result | {"ms": round(ns["schedule"] / 1e6, 4), "leads": 1000, "agents": 30000,
                     "aggregate_ms": round(ns["aggregate"] / 1e6, 4)}


def count(program, name):
    rounds, per = COUNTED[name]
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=measured",
                           program, name, str(rounds)], capture_output=True, text=True, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(found.group(1)) == 0:
        raise BenchError(f"callgrind counted nothing for {name}: {done.stderr[-300:]}")
    return int(found.group(1)) / per


def slowed(folder):
    """The same program with the send times planned at -O0: a slow-down that must be found."""
    program = pathlib.Path(folder) / "bench-pure-slow"
    libraries = [BUILD / f"libmesh_{name}.a" for name in ("proto", "proto_generated", "core")]
    done = subprocess.run(["cc", "-std=gnu17", "-O0", "-fno-math-errno", "-D_GNU_SOURCE", f"-I{ROOT}", ROOT / "tests/baseline/pure_speed.c",
                           ROOT / "core/schedule.c", ROOT / "core/predictor.c", *libraries, "-lprotobuf-c", "-o", program,
                           "-Wl,--allow-multiple-definition"], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"the slowed program does not build: {done.stderr[-600:]}")
    return program


def bench_instructions(options):
    """Instructions of the pure hot paths against tests/baseline/instructions.json: above +5 % fails."""
    build("bench-pure")
    result = header(options)
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as folder:
        program = slowed(folder) if options.slow_down else BUILD / "bench-pure"
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as side_by_side:  # counts do not mind
            counts = dict(zip(COUNTED, side_by_side.map(lambda name: round(count(program, name), 1), COUNTED)))
    if options.update:
        BASELINE.write_text(json.dumps(counts, indent=1) + "\n")
        progress(f"written: {BASELINE.relative_to(ROOT)}")
    known = json.loads(BASELINE.read_text())
    above = {name: round(counts[name] / known[name], 4) for name in COUNTED
             if name not in known or counts[name] > LIMIT * known[name]}
    for name in COUNTED:
        share = counts[name] / known.get(name, counts[name])
        progress(f"instructions: {name:15} {counts[name]:14,.1f}  {100 * (share - 1):+6.2f} %{'  TOO MANY' if name in above else ''}")
    result |= {"instructions": counts, "above": above, "limit": LIMIT, "ok": not above}
    if above:
        raise BenchError(f"more than {100 * (LIMIT - 1):.0f} % above the baseline: {', '.join(sorted(above))}", **result)
    return result
