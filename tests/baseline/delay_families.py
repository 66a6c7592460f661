#!/usr/bin/env python3
"""Writes made-up delay traces, one file a family, for `mesh-sim replay`: tests/baseline/delay_families.py DIR [SEED]

Each family is one thing that real delays do: tails, correlation, regimes, modes, weights, queues, odd
units, few or short series. Deterministic from the seed. With --check MESH_SIM the predictor must keep
its bars on them: coverage, loss over the best method, their geometric mean."""
import json, math, pathlib, random, subprocess, sys, tempfile


def series_of(rng, count, length, draw):
    """Rows by round; draw(rng, series state, round) gives delay_ms, weight, queue."""
    states = [{"scale": 80 * math.exp(0.5 * rng.gauss(0, 1)), "x": rng.gauss(0, 1), "level": 0.0, "queue": 0.0, "on": False}
              for _ in range(count)]
    for k in range(length):
        for s, state in enumerate(states):
            got = draw(rng, state, k)
            delay, weight, queue = got if isinstance(got, tuple) else (got, 0, 0)
            yield f"n{s}", k, weight, queue, delay


def lognormal(sigma):
    return lambda r, s, k: s["scale"] * math.exp(sigma * r.gauss(0, 1))


def pareto(alpha):
    return lambda r, s, k: s["scale"] * (1 + 0.1 * r.gauss(0, 1)) ** 2 * (1 if r.random() < 0.8 else r.paretovariate(alpha))


def autoregressive(rho, sigma=0.5):
    def draw(r, s, k):
        s["x"] = rho * s["x"] + math.sqrt(1 - rho * rho) * r.gauss(0, 1)
        return s["scale"] * math.exp(sigma * s["x"])
    return draw


def alternating(r, s, k):
    s["x"] = -0.8 * s["x"] + 0.6 * r.gauss(0, 1)
    return s["scale"] * math.exp(0.4 * s["x"])


def steps(share, reach):
    def draw(r, s, k):
        if r.random() < share:
            s["level"] = reach * r.gauss(0, 1)
        return s["scale"] * math.exp(s["level"] + 0.2 * r.gauss(0, 1))
    return draw


def walk(r, s, k):
    s["level"] += 0.03 * r.gauss(0, 1)
    return s["scale"] * math.exp(s["level"] + 0.15 * r.gauss(0, 1))


def modes(share, factor):
    return lambda r, s, k: s["scale"] * (factor if r.random() < share else 1) * math.exp(0.15 * r.gauss(0, 1))


def bursts(r, s, k):
    s["on"] = r.random() < (0.9 if s["on"] else 0.01)
    return s["scale"] * math.exp(0.2 * r.gauss(0, 1)) * (1 + (4 * r.random() if s["on"] else 0))


def weighted(slope, sigma=0.2, spread=1.0):
    def draw(r, s, k):
        weight = round(min(900.0, math.exp(spread * r.gauss(0, 1))), 3)
        return s["scale"] * (1 + slope * weight) * math.exp(sigma * r.gauss(0, 1)), weight, 0
    return draw


def proportional(least, most):
    def draw(r, s, k):
        weight = round(math.exp(r.uniform(math.log(least), math.log(most))), 3)
        return s["scale"] * weight / math.sqrt(least * most) * math.exp(0.25 * r.gauss(0, 1)), weight, 0
    return draw


def less_with_weight(r, s, k):
    weight = r.choice([0.5, 1, 2, 4])
    return s["scale"] / (1 + 0.3 * weight) * math.exp(0.2 * r.gauss(0, 1)), weight, 0


def long_queues(r, s, k):
    s["queue"] = max(0, 0.98 * s["queue"] + r.gauss(8, 40))
    queue = int(s["queue"])
    return s["scale"] * (1 + 0.02 * queue) * math.exp(0.2 * r.gauss(0, 1)), 0, queue


def queued(r, s, k):
    s["queue"] = max(0, 0.9 * s["queue"] + r.gauss(0.4, 1.5))
    queue = int(s["queue"])
    return s["scale"] * (1 + 0.4 * queue) * math.exp(0.2 * r.gauss(0, 1)), 0, queue


def weighted_and_queued(r, s, k):
    s["queue"] = max(0, 0.9 * s["queue"] + r.gauss(0.4, 1.5))
    weight, queue = r.choice([0.25, 0.5, 1, 2, 4]), int(s["queue"])
    return s["scale"] * (0.3 + weight) * (1 + 0.2 * queue) * math.exp(0.25 * r.gauss(0, 1)), weight, queue


def daily(r, s, k):
    return s["scale"] * (1 + 0.6 * math.sin(2 * math.pi * k / 240)) * math.exp(0.15 * r.gauss(0, 1))


def collector(r, s, k):
    s.setdefault("phase", r.randrange(20))
    return s["scale"] * (6 if k % 20 == s["phase"] else 1) * math.exp(0.1 * r.gauss(0, 1))


def quantised(r, s, k):
    return 10 * round(s["scale"] * math.exp(0.3 * r.gauss(0, 1)) / 10)


def trend(r, s, k):
    return s["scale"] * (1 + 0.005 * k) * math.exp(0.15 * r.gauss(0, 1))


def rare_spikes(r, s, k):
    return 100.0 if r.random() > 0.01 else 1000.0


def idle(r, s, k):
    return 0.0 if r.random() < 0.9 else 50 * r.expovariate(1)


def scaled(factor, draw):
    return lambda r, s, k: factor * draw(r, s, k)


def unlike(r, s, k):
    """Every series its own kind and its own unit."""
    if "kind" not in s:
        s["kind"] = r.choice([lognormal(0.3), lognormal(1.0), autoregressive(0.9), steps(0.01, 0.6), bursts, modes(0.1, 5)])
        s["scale"] = math.exp(r.uniform(math.log(0.5), math.log(20000)))
    return s["kind"](r, s, k)


FAMILIES = {
    "lognormal": (30, 500, lognormal(0.3)), "lognormal-wide": (30, 500, lognormal(1.3)), "lognormal-narrow": (30, 500, lognormal(0.03)),
    "pareto-1.8": (30, 500, pareto(1.8)), "pareto-1.2": (30, 500, pareto(1.2)),
    "correlated-0.5": (30, 500, autoregressive(0.5)), "correlated-0.9": (30, 500, autoregressive(0.9)),
    "correlated-0.99": (30, 500, autoregressive(0.99)), "correlated-wide": (30, 500, autoregressive(0.9, 1.2)),
    "alternating": (30, 500, alternating), "steps-rare": (30, 500, steps(0.003, 0.8)), "steps-often": (30, 500, steps(0.03, 0.5)),
    "walk": (30, 500, walk), "two-modes-10": (30, 500, modes(0.1, 5)), "two-modes-5": (30, 500, modes(0.05, 8)),
    "two-modes-3": (30, 500, modes(0.03, 4)), "bursts": (30, 500, bursts), "weighted": (30, 500, weighted(0.5)),
    "weighted-steep": (30, 500, weighted(5, 0.3)), "weight-means-nothing": (30, 500, weighted(0)),
    "weighted-tokens": (30, 500, weighted(0.02, 0.3, 2.5)), "weight-is-all": (30, 500, proportional(0.1, 10)), "weight-in-tokens": (30, 500, proportional(50, 4000)),
    "weight-in-bytes": (30, 500, proportional(1e3, 1e6)), "less-with-weight": (30, 500, less_with_weight),
    "long-queues": (30, 500, long_queues), "queued": (30, 500, queued), "weighted-and-queued": (30, 500, weighted_and_queued),
    "daily": (30, 500, daily), "collector": (30, 500, collector), "quantised": (30, 500, quantised), "trend": (30, 500, trend),
    "rare-spikes": (30, 500, rare_spikes), "idle": (30, 500, idle), "microseconds": (30, 500, scaled(1e-4, lognormal(0.4))),
    "hours": (20, 500, scaled(3e4, lognormal(0.4))), "unlike-series": (40, 500, unlike), "one-series": (1, 3000, lognormal(0.4)),
    "one-correlated": (1, 3000, autoregressive(0.9)), "one-short": (1, 200, lognormal(0.4)), "three-series": (3, 1000, bursts),
    "short-series": (200, 40, lognormal(0.4)), "many-series": (300, 100, autoregressive(0.8)),
}
TIED = {"rare-spikes"}  # more than the wanted share is one value: coverage is what it is
TRIVIAL = {"constant": (10, 200, lambda r, s, k: 42.0), "zeros": (10, 200, lambda r, s, k: 0.0), "tiny": (2, 3, lognormal(0.3))}


def write(folder, name, seed):
    count, length, draw = (FAMILIES | TRIVIAL)[name]
    rng = random.Random(f"{seed} {name}")
    path = pathlib.Path(folder) / f"{name}.csv"
    with path.open("w") as out:
        out.write("series,seq,payload_weight,queue_depth,delay_ms\n")
        for name_, k, weight, queue, delay in series_of(rng, count, length, draw):
            out.write(f"{name_},{k},{weight:g},{queue},{delay:.6g}\n")
    return path


def replay(program, path, tau):
    done = subprocess.run([program, "replay", "--trace", path, "--tau", str(tau), "--json"], capture_output=True, text=True,
                          check=True, timeout=120)
    return json.loads(done.stdout)


def check(program, seed):
    """Coverage within a point where there is enough to count, losses near the best method's."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="mesh-families-") as folder:
        for tau, mean_most in ((0.95, 1.03), (0.99, 1.06)):
            logs = []
            for name in FAMILIES | TRIVIAL:
                r = replay(program, write(folder, name, seed), tau)
                print(f"{tau} {name}: coverage {r['coverage']}, loss over best {r['loss_over_best']} ({r['best']})")
                if name in TRIVIAL:
                    if name != "tiny" and not (r["coverage"] >= tau and r["loss_over_best"] < 2):
                        wrong.append(f"{tau} {name}")
                    continue
                logs.append(math.log(r["loss_over_best"]))
                off = abs(r["coverage"] - tau)
                if logs[-1] > math.log(1.25) or (off > 0.01 and name not in TIED and r["scored"] > 1000):
                    wrong.append(f"{tau} {name}")
            mean = math.exp(sum(logs) / len(logs))
            print(f"{tau}: geometric mean over the best {mean:.4f}")
            if mean > mean_most:
                wrong.append(f"{tau} mean {mean:.4f} above {mean_most}")
    sys.exit(f"delay families out of their bars: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    if len(sys.argv) in (3, 4) and sys.argv[1] == "--check":
        check(sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 1)
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for family in FAMILIES | TRIVIAL:
        write(sys.argv[1], family, int(sys.argv[2]) if len(sys.argv) == 3 else 1)
