"""Honest mistakes on a running mesh, each of which has to be said by name: a wrong Redis password, rights that are
missing at Redis, a clock that is a little wrong."""
import re
import struct
import subprocess


def said(m, name, event, since=0):
    """The lines of that process's log with this event, from that byte on."""
    with open(m.run_dir / "log" / f"{name}.log") as log:
        log.seek(since)
        return [line for line in log if re.search(rf"\bmsg={event}\b", line)]


def length(m, name):
    return (m.run_dir / "log" / f"{name}.log").stat().st_size


def check_login(m, need, name="cluster-1"):
    """A password that the server does not have, while running: said with user, file and the server's word, and mended by
    putting the file right. Then rights that are gone."""
    keys = m.run_dir / "keys"
    file = keys / f"{name}.redis"
    good, since = file.read_text(), length(m, name)
    file.write_text(f"{good.splitlines()[0]}\n{'ab' * 32}\n")
    try:
        m.wait("the file is seen", lambda: said(m, name, "store-password", since), 5)
        m.redis("CLIENT", "KILL", "USER", name)
        line = m.wait("it is said", lambda: said(m, name, "store-login-refused", since), 10)[0]
        need(all(word in line for word in [f"user={name}", f"{name}.redis", "WRONGPASS", "deploy/permissions", "level=error"]), line)
        need("bank=" in line and "ab" * 32 not in line, "the password is in the log")
        need(m.metric(r"^mesh_store_login_refused ") >= 1 or m.wait("the metric", lambda: m.metric(r"^mesh_store_login_refused ") >= 1, 5),
             "no metric")
        tool = subprocess.run(["deploy/redis", "--run", m.run_dir, "--user", name, "PING"], capture_output=True, text=True, timeout=20)
        need(tool.returncode == 1 and "WRONGPASS" in tool.stderr and f"{name}.redis" in tool.stderr and
             tool.stderr.count("\n") == 1, f"deploy/redis: {tool.returncode} {tool.stdout}{tool.stderr}")
    finally:
        file.write_text(good)
    mended = length(m, name)
    m.wait("it is let in again", lambda: len(said(m, name, "store-up", mended)) >= 1, 20)
    m.wait("nothing is refused", lambda: m.metric(r"^mesh_store_login_refused ") == 0, 20)
    for line in said(m, name, "fenced", since):
        need("refuses this process's login" in line, line)
    # Rights that are gone, where the lease is: what is denied is said, once a minute.
    denied = length(m, name)
    subprocess.run(["deploy/redis", "--run", m.run_dir, "--durable", "ACL", "SETUSER", name, "-fcall"], check=True, capture_output=True)
    try:
        line = m.wait("what is denied is said", lambda: said(m, name, "store-denied", denied), 20)[0]
        need("NOPERM" in line and f"user={name}" in line and "deploy/permissions" in line, line)
    finally:
        subprocess.run(["deploy/permissions", "--run", m.run_dir], check=True, capture_output=True)


def last_lead(m):
    return [name for name in m.processes() if name.startswith("cluster")][-1]


def check_login_at_start(m, need, restart):
    """The same when it starts."""
    name = last_lead(m)
    file, since = m.run_dir / "keys" / f"{name}.redis", length(m, name)
    good = file.read_text()
    file.write_text(f"{good.splitlines()[0]}\n{'cd' * 32}\n")
    try:
        restart(m, name, ["build/mesh-cluster", "--config", str(m.run_dir / "mesh.conf"), "--name", name])
        line = m.wait("it is said", lambda: said(m, name, "store-login-refused", since), 15)[0]
        need(f"user={name}" in line and "WRONGPASS" in line, line)
    finally:
        file.write_text(good)
    m.wait("it is let in", lambda: said(m, name, "store-up", since), 20)


def check_wrong_start(m, need, restart, name, clocks, command):
    """A machine that boots with its clock an hour ahead, and is put right a little later: the process works then."""
    set_first = "import os, struct, sys; open(f'{sys.argv[1]}/{os.getpid()}', 'wb').write(struct.pack('<q', 3600 * 1000000)); os.execvp(sys.argv[2], sys.argv[2:])"
    since = length(m, name)
    restart(m, name, ["python3", "-c", set_first, str(clocks), *command])
    m.wait("its clock is off", lambda: said(m, name, "clock-off", since), 60)
    with open(clocks / str(m.processes()[name]), "r+b") as f:
        f.write(struct.pack("<q", 0))
    m.wait("its clock is right", lambda: said(m, name, "clock-right", since), 60)
    m.whole()


def check_clock(m, need, restart):
    """A clock that is 3 s ahead, then 4 s behind, then right: the process finds it out, with the amount."""
    name = last_lead(m)
    clocks, library = m.run_dir / "clocks", m.run_dir / "clock_step.so"
    clocks.mkdir()
    subprocess.run(["cc", "-std=gnu17", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, "tests/support/clock_step.c", "-ldl"],
                   check=True)
    command = ["build/mesh-cluster", "--config", str(m.run_dir / "mesh.conf"), "--name", name]
    restart(m, name, ["env", f"LD_PRELOAD={library}", f"CHAOS_CLOCKS={clocks}", *command])
    file = clocks / str(m.processes()[name])
    m.wait("its clock can be set", lambda: file.exists() and file.stat().st_size == 8, 10)
    m.whole()

    def set_clock(seconds):
        with open(file, "r+b") as f:  # in place: the process has it mapped
            f.write(struct.pack("<q", seconds * 1000000))

    try:
        for seconds, word in [(3, "ahead of"), (-4, "behind")]:
            since = length(m, name)
            set_clock(seconds)
            line = m.wait(f"{seconds} s is said", lambda: said(m, name, "clock-off", since), 60)[0]
            ms = int(re.search(r"\bms=(-?\d+)", line).group(1))
            need(abs(ms - 1000 * seconds) < 500 and word in line, line)
            which = "ahead" if seconds > 0 else "behind"
            m.wait("the metric", lambda: m.metric(rf"^mesh_clock_{which}_seconds") >= abs(seconds) - 0.5, 10)
            set_clock(0)
            m.wait("it is right again", lambda: said(m, name, "clock-right", since), 60)
            need(len(said(m, name, "clock-off", since)) == 1, "it is said more than once")
        check_wrong_start(m, need, restart, name, clocks, ["env", f"LD_PRELOAD={library}", f"CHAOS_CLOCKS={clocks}", *command])
    finally:  # what comes after needs it, whatever went wrong here
        since = length(m, name)
        restart(m, name, command)  # its sessions follow those of the wrong clock (docs/adr/0061)
    m.wait("it has its units again", lambda: said(m, name, "serving", since), 90)
    others = [n for n, _ in m.processes().items() if n not in (name, "nats", "redis", "redis-durable")]
    need(not any(said(m, n, "clock-off") for n in others), "others take theirs for wrong")
    m.whole()
