"""Processes that a test ends and starts again."""
import os
import pathlib
import re
import signal
import time


def ended(pid):
    """True when it holds no port or file any more: gone, or a zombie that its parent has not asked after,
    with every thread (the first one's end is not that of the others, which hold the files, too)."""
    try:
        return all(task.read_text().rsplit(") ", 1)[1].split()[0] in "ZX"
                   for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(pid, timeout_s=20):
    """kill -9, and waits for the end: kill(2) returns before the ports are free for a successor."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_s
    while not ended(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} has not ended {timeout_s} s after kill -9")
        time.sleep(0.01)


def metrics_ports(config):
    """(name, port) of each process in a mesh.conf that has one. Values may hold brackets: units = s[01-25]."""
    for section in pathlib.Path(config).read_text().split("\n[process ")[1:]:
        name, body = section.split("]", 1)
        port = re.search(r"^metrics_port = (\d+)", body, re.M)
        if port:
            yield name, int(port.group(1))
