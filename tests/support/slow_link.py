"""A TCP link that is slow, loses, or is cut in one direction: between NATS and its clients, without a kernel that can
(tc's netem). What is lost on a TCP connection comes again after a retransmission timeout and holds up what follows it:
that is what happens here to the given share of the segments. `python3 slow_link.py LISTEN TARGET CONTROL`; CONTROL is a
file of JSON, read ten times a second: delay_s (each way), loss (0 to 1), rto_s, cut (local ports of clients whose data
to the server is kept back until it is no longer there)."""
import asyncio
import json
import pathlib
import random
import sys

SEGMENT = 16384


class Link:
    def __init__(self, control):
        self.control, self.delay, self.loss, self.rto, self.cut = pathlib.Path(control), 0.0, 0.0, 0.3, set()
        self.random = random.Random(1)

    async def watch(self):
        while True:
            try:
                now = json.loads(self.control.read_text())
                self.delay, self.loss = now.get("delay_s", 0), now.get("loss", 0)
                self.rto, self.cut = now.get("rto_s", 0.3), set(now.get("cut", []))
            except (OSError, ValueError):
                pass
            await asyncio.sleep(0.1)

    async def one_way(self, reader, writer, port=None):
        """port: of the client, on its way to the server."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue(512)

        async def take():
            while data := await reader.read(SEGMENT):
                lost = self.random.random() < self.loss
                await queue.put((loop.time() + self.delay + (self.rto if lost else 0), data))
            await queue.put((0, b""))

        async def give():
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0, due - loop.time()))
                while port in self.cut:
                    await asyncio.sleep(0.1)
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.ensure_future(take()), asyncio.ensure_future(give())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()

    async def connect(self, reader, writer, target):
        port = writer.get_extra_info("peername")[1]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.one_way(reader, up_writer, port), self.one_way(up_reader, writer), return_exceptions=True)


async def main(listen, target, control):
    link = Link(control)
    server = await asyncio.start_server(lambda r, w: link.connect(r, w, target), "127.0.0.1", listen)
    watcher = asyncio.ensure_future(link.watch())
    async with server:
        await server.serve_forever()
    watcher.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
