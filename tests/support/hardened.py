"""What the programs and processes of a running mesh give up, and that no secret of its keys directory is where others
look: for tests/e2e. Programs by readelf, processes by /proc, secrets by searching for them."""
import pathlib
import re
import subprocess

PROGRAMS = ["mesh", "mesh-keys", "mesh-orchestrator", "mesh-sector", "mesh-cluster", "mesh-agent", "mesh-sim"]
# dac_override, dac_read_search, fowner, ipc_lock; processes with agents also those over programs of other users.
RIGHTS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 14
RIGHTS_WITH_AGENTS = RIGHTS | 1 << 0 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 13 | 1 << 23


def program(path, need):
    text = subprocess.run(["readelf", "-hldW", path], capture_output=True, text=True, check=True).stdout
    stack = re.search(r"GNU_STACK.*", text)
    imported = subprocess.run(["readelf", "--dyn-syms", "-W", path], capture_output=True, text=True, check=True).stdout
    for fault, there in [("is not position independent", "DYN (" in text), ("has no RELRO", "GNU_RELRO" in text),
                         ("binds lazily", "BIND_NOW" in text or re.search(r"Flags:.*\bNOW\b", text)),
                         ("has an executable stack", stack and "RWE" not in stack.group()),
                         ("has no stack protector", "__stack_chk_fail" in imported),
                         ("does not check the C library's buffers", "printf_chk" in imported)]:
        need(there, f"{path.name} {fault}")


def process(name, pid, need):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    field = lambda key, base=10: int(re.search(rf"^{key}:\s*(\w+)", status, re.M).group(1), base)
    need(field("NoNewPrivs") == 1, f"{name} could get new privileges")
    need(field("Seccomp") == 2, f"{name} has no seccomp filter")
    allowed = RIGHTS_WITH_AGENTS if name.startswith(("sim", "agent")) else RIGHTS
    for rights in ("CapEff", "CapPrm"):
        need(field(rights, 16) & ~allowed == 0, f"{name} has {rights} {field(rights, 16):x}")
    need(re.search(r"^Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text(), re.M), f"{name} may leave a core")


def secrets(keys):
    """Every secret that lies there: the hex of this project's files, a line from the middle of each PEM."""
    found = {}
    for file in [*keys.glob("*.key"), *keys.glob("*.redis")]:
        lines = file.read_text().splitlines()
        found[file.name] = (lines[1] if len(lines) > 1 else lines[0]).encode()
    return found


def check(m, root, need):
    for name in PROGRAMS:
        program(root / "build" / name, need)
    tiers = {n: pid for n, pid in m.processes().items() if n not in ("nats", "redis", "redis-durable")}
    need(len(tiers) >= 4, f"only {list(tiers)}")
    for name, pid in tiers.items():
        process(name, pid, need)
    known = secrets(m.run_dir / "keys")
    need(len(known) > 20 and all(len(s) >= 32 for s in known.values()), f"{len(known)} secrets")
    m.console("ask", "x", "--sample", "1")
    places = [pathlib.Path(f"/proc/{pid}/{what}") for pid in m.processes().values() for what in ("cmdline", "environ")]
    places += [p for p in (m.run_dir / "log").iterdir() if p.is_file()]
    places += [m.run_dir / name for name in ("log.db", "log.db-wal", "mesh.conf", "nats.conf", "nats-users.conf", "processes")]
    for place in places:
        data = place.read_bytes()
        for name, secret in known.items():
            need(secret not in data, f"the secret of {name} is in {place}")
