"""An operator's hardware token on the running mesh: the console's own program, linked with a token of software
(tests/support/soft_token.c) in the place of USB, on a terminal of its own (mesh-soft-console). For tests/e2e."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import termios
import time

PIN = "314159"


def on_terminal(argv, answer, env, timeout=60):
    """Runs it with a controlling terminal, types the answer when it asks. Returns (code, stdout, stderr, terminal)."""
    master, slave = pty.openpty()

    def take():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=take, pass_fds=[slave], env=env, text=True)
    os.close(slave)
    seen, until, answered = b"", time.monotonic() + timeout, False
    try:
        while process.poll() is None and time.monotonic() < until:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    seen += os.read(master, 4096)
                except OSError:  # nobody has it open any more
                    break
            if b"PIN" in seen and not answered:
                answered = True
                os.write(master, answer.encode() + b"\n")
        out, err = process.communicate(timeout=max(1.0, until - time.monotonic()))
    finally:
        if process.poll() is None:
            process.kill()
        os.close(master)
    return process.returncode, out, err, seen.decode(errors="replace")


class Bench:
    def __init__(self, mesh, root, need):
        self.mesh, self.need = mesh, need
        self.keys, self.conf = mesh.run_dir / "keys", mesh.run_dir / "mesh.conf"
        self.program = root / "build/mesh-soft-console"
        self.state = mesh.run_dir / "token.state"

    def env(self, token=None, fault=None):
        env = dict(os.environ, MESH_SOFT_TOKEN=str(token or self.state))
        env.pop("MESH_SOFT_FAULT", None)
        if fault:
            env["MESH_SOFT_FAULT"] = fault
        return env

    def token(self, *words, pin=PIN, **env):
        return on_terminal([self.program, "keys", "token", *words], pin, self.env(**env))

    def console(self, *words, pin=PIN, **env):
        return on_terminal([self.program, "--config", self.conf, *words], pin, self.env(**env))

    def refused(self, line, done):
        self.need(done[0] == 1 and line in done[1] + done[2], f"wanted '{line}': exit {done[0]} {done[1][-200:]} {done[2][-200:]}")

    def version(self):
        done = subprocess.run([self.program, "keys", "token", "list", self.keys], capture_output=True, text=True, check=True)
        return int(re.search(r"version (\d+)", done.stdout).group(1)), done.stdout

    def everybody_has_it(self):
        version = self.version()[0]
        conf = self.conf.read_text()
        count = sum(1 for name in self.mesh.processes() if f"[process {name}]" in conf and alive(self.mesh, name))
        self.mesh.wait("everybody has the bundle", lambda: self.mesh.metric(r"^mesh_trust_version") >= version * count, 60)

    def session_of_a_script(self):
        """A console that is left open: commands go in by its stdin."""
        master, slave = pty.openpty()

        def take():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        process = subprocess.Popen([str(self.program), "--config", str(self.conf)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, preexec_fn=take, pass_fds=[slave], env=self.env(), text=True, bufsize=1)
        os.close(slave)
        seen = b""
        while b"PIN" not in seen and select.select([master], [], [], 30)[0]:
            seen += os.read(master, 4096)
        os.write(master, PIN.encode() + b"\n")
        return process, master


def alive(mesh, name):
    stat = pathlib.Path(f"/proc/{mesh.processes()[name]}/stat")
    return stat.exists() and stat.read_text().rsplit(") ", 1)[1][0] != "Z"


def text_until(process, pattern, seconds=30):
    """What it says, read past Python's buffer, until the pattern is in it."""
    text, until = "", time.monotonic() + seconds
    while not re.search(pattern, text) and time.monotonic() < until:
        if select.select([process.stdout], [], [], 0.2)[0]:
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                break
            text += chunk.decode(errors="replace")
    return text


def check(mesh, root, need, audit_rows):
    b = Bench(mesh, root, need)
    before = mesh.run_dir / "keys-before"
    shutil.copytree(b.keys, before)
    try:
        # Enrolling: on a terminal only, with the right PIN.
        done = subprocess.run([b.program, "keys", "token", "enroll", b.keys, "operator"], capture_output=True, text=True,
                              env=b.env(), start_new_session=True)
        b.refused("asked for on a terminal", (done.returncode, done.stdout, done.stderr))
        b.refused("7 more tries", b.token("enroll", b.keys, "operator", pin="000000"))
        code, out, err, terminal = b.token("enroll", b.keys, "operator")
        need(code == 0 and "opens sessions with this token" in out, f"enroll: {out}{err}")
        need(PIN not in terminal + out + err, "the PIN was shown")
        kid = re.search(r"operator\.([0-9a-f]{16})\.token", out).group(1)
        need("usable here" in b.version()[1], b.version()[1])
        b.everybody_has_it()
        # From now on nothing without it: neither here, nor with a console that knows nothing of it.
        b.refused("none of this operator's", b.console("status", token=mesh.run_dir / "other.state"))
        done = mesh.console("status")
        b.refused("none is plugged in", (done.returncode, done.stdout, done.stderr))
        # (A console takes the new bundle from the mesh and keeps it: each of these has a folder of its own.)
        old, ignorant = mesh.run_dir / "before.conf", mesh.run_dir / "keys-ignorant"
        old.write_text(re.sub(r"^keys_dir = .*$", f"keys_dir = {ignorant}", b.conf.read_text(), flags=re.M))
        for words in (["status"], ["ask", "x", "--sample", "5"], ["--via", "s01", "status"]):
            shutil.rmtree(ignorant, ignore_errors=True)
            shutil.copytree(before, ignorant)
            done = subprocess.run([root / "build/mesh", "--config", old, *words], capture_output=True, text=True, timeout=60,
                                  start_new_session=True)
            need(done.returncode != 0 and "sessions are opened with one" in done.stdout + done.stderr,
                 f"{words} without the token: exit {done.returncode} {done.stdout[-300:]}{done.stderr[-300:]}")
        # With it, and its faults.
        code, out, err, _ = b.console("--json", "status")
        need(code == 0 and json.loads(out)["operator_key"] == "hardware token with user verification", out + err)
        code, out, err, _ = b.console("ask", "x", "--sample", "5")
        need(code == 0 and "ready" in out, out + err)
        b.refused("the PIN is wrong", b.console("status", pin="271828"))
        b.refused("not verified its user", b.console("status", fault="no-uv"))
        b.refused("nobody touched it", b.console("status", fault="no-touch"))
        b.refused("malformed", b.console("status", fault="malformed"))
        b.refused("signed this session", b.console("status", fault="wrong-challenge"))
        told = lambda text: any(text in r["body"] for r in audit_rows(mesh, "command"))
        mesh.wait("a row of a command with the token", lambda: told('"key": "token"'), 60)
        mesh.wait("a row of a refused command", lambda: told("sessions are opened with one"), 60)
        # Removed while its session is open: the next command is refused.
        process, terminal = b.session_of_a_script()
        try:
            process.stdin.write("status\n")
            need("Mode:" in (text := text_until(process, "└")), text)
            code, out, err, _ = b.token("remove", b.keys, "operator", kid)
            need(code == 0, out + err)
            b.everybody_has_it()
            process.stdin.write("status\n")
            process.stdin.close()
            text = text_until(process, "└|hardware token: ")
            need("none of this operator's in the trust bundle" in text, f"after the removal: {text[-300:]}")
            # The operator has no token left: the key in its file opens sessions again.
            need(mesh.console("status").returncode == 0, "the file's key after the removal")
        finally:
            process.kill()
            os.close(terminal)
    finally:
        shutil.rmtree(before)
        shutil.rmtree(mesh.run_dir / "keys-ignorant", ignore_errors=True)
        for name in ("token.state", "other.state", "before.conf"):
            (mesh.run_dir / name).unlink(missing_ok=True)
