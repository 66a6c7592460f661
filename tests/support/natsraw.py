"""A raw NATS client over the mesh's mutual TLS, with the credentials of any process: what the tests
use to say and hear exactly what they want. Loopback only."""
import socket
import ssl
import warnings


class Nats:
    def __init__(self, port, keys, name, server_name="nats.mesh", timeout=5):
        warnings.simplefilter("ignore")
        raw = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        raw.recv(8192)  # INFO, in the clear, says that TLS is required
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(f"{keys}/ca.crt")
        if name is not None:
            context.load_cert_chain(f"{keys}/{name}.tls.crt", f"{keys}/{name}.tls.key")
        self.socket = context.wrap_socket(raw, server_hostname=server_name)
        self.stream = self.socket.makefile("rb")
        self.errors = []
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"name":"test"}\r\n')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, line):
        self.socket.sendall(line + b"\r\n")

    def publish(self, subject, payload=b"x", reply=""):
        to = f"{subject} {reply}".strip().encode()
        self.socket.sendall(b"PUB %s %d\r\n%s\r\n" % (to, len(payload), payload))

    def subscribe(self, subject, sid=1):
        self.send(b"SUB %s %d" % (subject.encode(), sid))

    def next(self):
        """One message as (subject, payload), or None for anything else; errors are kept."""
        line = self.stream.readline().decode()
        if not line:
            raise ConnectionError("closed by the server: " + "; ".join(self.errors))
        if line.startswith("MSG "):
            words = line.split()
            return words[1], self.stream.read(int(words[-1]) + 2)[:-2]
        if line.startswith("PING"):
            self.send(b"PONG")
        elif line.startswith("-ERR"):
            self.errors.append(line.strip()[5:])
        elif line.startswith("PONG"):
            return "PONG", None
        return None

    def flush(self):
        """Until the server has dealt with all that was sent; returns what arrived meanwhile."""
        self.send(b"PING")
        seen = []
        while True:
            one = self.next()
            if one and one[0] == "PONG":
                return seen
            if one:
                seen.append(one)

    def denied(self, act):
        """Whether the server refuses what act does."""
        before = len(self.errors)
        act()
        self.flush()
        return len(self.errors) > before
