"""The operator's seat: the console on a terminal of its own (a pty), as a person uses it."""
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time

from benches.common import BUILD, ROOT, BenchError, Mesh, build, header, median, progress, quantile

PROMPT = re.compile(rb"mesh\[[^\]\r\n]*\]> (?:\x1b\[K)?\Z")
KEYS = b"qxjz"  # in no prompt, and no hint follows them
FINDS = ["--class D", "--class A,B", "--state active", "--capability inference", "--slower 200", "--faster 600", "--on s01",
         "--class E --state active --faster 2000"]


class Seat:
    """A console on a pty of 200 rows, so that nothing is paged."""

    def __init__(self, mesh):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            home = str(mesh.run)
            os.environ.update(TERM="xterm-256color", HOME=home, XDG_STATE_HOME=home, PAGER="cat")
            os.execv(BUILD / "mesh", ["mesh", "--config", str(mesh.config)])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 160, 0, 0))
        self.until(PROMPT)

    def until(self, pattern, seconds=60):
        """What comes until the pattern does."""
        text, end = b"", time.monotonic() + seconds
        while not pattern.search(text):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise BenchError(f"the console shows no {pattern.pattern}, only {text[-400:]}")
            text += os.read(self.fd, 65536)
        return text

    def quiet(self, seconds=0.05):
        while select.select([self.fd], [], [], seconds)[0]:
            os.read(self.fd, 65536)

    def key_ms(self, key):
        begin = time.monotonic()
        os.write(self.fd, key)
        self.until(re.compile(re.escape(key)))
        return (time.monotonic() - begin) * 1000

    def command(self, words):
        """Milliseconds from Enter to the next prompt, and what was shown between."""
        self.quiet()
        os.write(self.fd, words.encode())
        self.quiet(0.2)
        begin = time.monotonic()
        os.write(self.fd, b"\r")
        text = self.until(re.compile(rb"\n(?:.|\n)*" + PROMPT.pattern))
        return (time.monotonic() - begin) * 1000, text.decode(errors="replace")

    def peak_rss_mib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def p99(values):
    return round(quantile(values, 0.99), 2)


def keys(seat, count):
    """Milliseconds from each key to its place on the screen."""
    found = []
    for i in range(count):
        if i % 30 == 0:
            os.write(seat.fd, b"\x15")  # an empty line
            seat.quiet()
        found.append(seat.key_ms(KEYS[i % len(KEYS):][:1]))
        time.sleep(0.005)
    os.write(seat.fd, b"\x15")
    seat.quiet()
    return found


def keys_under_load(seat, mesh, count):
    """The same while one operation after the other goes to every agent."""
    stop, ended, failed = threading.Event(), [], []

    def operate():
        while not stop.is_set():
            try:
                mesh.console("ask", "hi", "--all", "--timeout", "10s")
                ended.append(1)
            except BenchError as problem:
                failed.append(problem)
                return

    thread = threading.Thread(target=operate)
    thread.start()
    try:
        found = keys(seat, count)
    finally:
        stop.set()
        thread.join()
    if failed or not ended:
        raise BenchError(f"no operation ran beside the keys: {failed}")
    return found, len(ended)


def handled(log):
    """(agent, begin_ns, end_ns) of every run in the handlers' log; the log is empty afterwards."""
    rows = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return [(agent, int(begin), int(end)) for agent, begin, end in rows]


def at_once(rows):
    events = sorted([(begin, 1) for _, begin, _ in rows] + [(end, -1) for _, _, end in rows])
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def fold():
    """Milliseconds of processor time for 30,000 answers of 1,000 kinds, all tiers and the console together: as every operation
    folds them (the largest kinds, and the sum of the rest), and all 1,000 kinds with all their agents as ranges (--pages)."""
    build("bench-fold")
    done = subprocess.run([BUILD / "bench-fold"], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise BenchError(f"bench-fold: exit {done.returncode}: {done.stdout}")
    return [float(x) for x in done.stdout.split()[:2]]


def actions_of(folder):
    program, log = folder / "slow_handler", folder / "handlers.log"
    subprocess.run(["cc", "-std=c17", "-O2", "-D_GNU_SOURCE", ROOT / "tests/baseline/slow_handler.c", "-o", program], check=True)
    file = folder / "actions.conf"
    file.write_text("".join(f"[action {name}]\nhandler = exec\nprogram = {program} {log} {least} {most}\ninput = text\noutput = text\n"
                            for name, least, most in (("work", 50, 1000), ("long", 2000, 4000))))
    return file, log


def plain_ms(file, log, agents):
    """The same programs for the same agents, started one after the other by a loop and waited for: milliseconds beyond
    the slowest of them. What is left of an operation's own figure above this one is the mesh's."""
    program = next(line.split(" = ", 1)[1] for line in file.read_text().splitlines() if line.startswith("program"))
    begin = time.monotonic()
    started = [subprocess.Popen(program.split(), env={"MESH_AGENT": agent}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for agent in agents]
    for one in started:
        one.communicate()
    took = (time.monotonic() - begin) * 1000
    return took - max(end_ns - begin_ns for _, begin_ns, end_ns in handled(log)) / 1e6


def bench_asks(seat, file, log, agents, runs):
    """`run` of handlers that take 50 ms to 1 s, on 100 agents: how much longer than the slowest of them the whole takes
    from Enter to the next prompt, sending and starting a hundred programs included; how much of that comes after the last
    of them has ended; and what a plain loop needs beyond the slowest."""
    overheads, tails, plains, lost = [], [], [], 0
    sample = min(100, agents)
    for _ in range(runs):
        took, text = seat.command(f"run work x --sample {sample}")
        end = time.monotonic_ns()
        rows = handled(log)
        if not rows:
            raise BenchError(f"no handler ran: {text[-300:]}")
        lost += sample - len({agent for agent, _, _ in rows}) + abs(len(rows) - len({agent for agent, _, _ in rows}))
        found = re.search(r"ready +(\d+)", text)
        lost += sample - int(found.group(1)) if found else sample
        overheads.append(took - max(end_ns - begin for _, begin, end_ns in rows) / 1e6)
        tails.append((end - max(end_ns for _, _, end_ns in rows)) / 1e6)
        plains.append(plain_ms(file, log, [agent for agent, _, _ in rows]))
        progress(f"console: ask of {sample} took {overheads[-1]:.0f} ms more than its slowest handler (a plain loop {plains[-1]:.0f} ms), "
                 f"{tails[-1]:.0f} ms of them after the last had ended")
    return overheads, tails, plains, lost


def bench_console(options):
    result = header(options)
    counts_ms, kinds_ms = fold()
    result |= {"fold_ms": kinds_ms, "fold_largest_ms": counts_ms, "fold_is": "30,000 answers hashed, grouped and shown as 1,000 kinds "
               "with the ranges of their agents, lead to console, in one process: no network"}
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as name:
        file, log = actions_of(pathlib.Path(name))
        with Mesh(options, options.delay or "none", "--actions", str(file)) as mesh:
            mesh.wait_active(0.999)
            seat = Seat(mesh)
            try:
                time.sleep(3)  # the prompt's figures are there
                idle = keys(seat, 300)
                busy, operations = keys_under_load(seat, mesh, 300)
                progress(f"console: keys {p99(idle)} ms at p99, {p99(busy)} ms beside {operations} operations")
                status = [seat.command("status")[0] for _ in range(100)]
                finds = [seat.command(f"find {words} --limit 20")[0] for words in FINDS * 13]
                progress(f"console: status {p99(status)} ms, find {p99(finds)} ms at p99")
                handled(log)
                overheads, tails, plains, lost = bench_asks(seat, file, log, options.agents, options.runs)
                many = min(500, options.agents)
                answer = mesh.console("run", "long", "x", "--sample", str(many), "--timeout", "60s")
                rows = handled(log)
                lost += many - answer["states"]["ready"] + many - len({agent for agent, _, _ in rows})
                return result | {"key_p99_ms": p99(idle + busy), "key_idle_p99_ms": p99(idle), "key_busy_p99_ms": p99(busy),
                                 "operations_beside": operations, "status_p99_ms": p99(status), "find_p99_ms": p99(finds),
                                 "ask_overhead_ms": round(median(overheads), 1), "ask_overhead_most_ms": round(max(overheads), 1),
                                 "ask_overhead_is": "Enter to the next prompt, beyond the slowest of the handlers",
                                 "ask_tail_ms": round(median(tails), 1), "plain_overhead_ms": round(median(plains), 1),
                                 "handlers": many, "handlers_at_once": at_once(rows),
                                 "handlers_lost": lost, "console_rss_mib": round(seat.peak_rss_mib(), 1)}
            finally:
                seat.close()
