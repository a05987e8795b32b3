"""The Python client: streams written by its DurableStream and followed by its `stream`.

It has no producer. Writers that must not write twice give their appends sequence numbers: where one
that got no answer is refused when it comes again, it was written. Readers wait for a server that is
away in `on_error`; where a connection breaks in the middle of an answer they begin again at the last
offset they were given.
"""

import json
import random
import threading
import unittest

import httpx
from durable_streams import DurableStream, SeqConflictError, stream

from supervised import Server

COUNT = 240
# Messages that a writer may be ahead of its reader, so that both are under way at each kill.
AHEAD = 30
# The kills of a run, in order, each once the reader has seen so many messages. `request`: the writer
# sends a request meanwhile. `answer`: a request was carried out, and its answer is lost. `quiet`:
# nobody writes, and the reader has seen everything.
PLAN = [(50, "request"), (110, "answer"), (160, "quiet")]
TIMEOUT = 50
TRIES = 200
CONTENT_TYPES = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "bytes": "application/octet-stream",
}
# What could pass for a part of a server-sent event, or be cut in the middle of a character.
WORDS = ["one", " two", "äöü", "五", "𝄞", "\n", "\n\n", "\nevent: control", "\ndata:x", "\nid: 7", ": y"]


def messages(kind):
    """The same ones each time. One in twenty is far larger than the others."""
    numbers = random.Random(1)

    def message(index):
        size = 48 * 1024 if index % 20 == 19 else numbers.randrange(400)
        if kind == "bytes":
            return numbers.randbytes(size + 1)
        text = "".join(numbers.choices(WORDS, k=size // 4)) + str(index)
        return text if kind == "text" else {"index": index, "text": text, "nested": [[None, True, 1.5e-7]]}

    return [message(index) for index in range(COUNT)]


def joined(kind, parts):
    """What parts amount to, however they are cut."""
    if kind == "json":
        return list(parts)
    return "".join(parts) if kind == "text" else b"".join(parts)


def length_of(kind, part):
    return 1 if kind == "json" else len(part)


class Progress:
    """What the reader has seen; the writer waits for it."""

    def __init__(self, kind, written):
        self.parts = []
        self.seen = 0
        self._kind = kind
        self._length = 0
        self._ends = []
        for message in written:
            self._ends.append((self._ends or [0])[-1] + length_of(kind, message))
        self._changed = threading.Condition()
        self._failure = None

    def add(self, part):
        with self._changed:
            self.parts.append(part)
            self._length += length_of(self._kind, part)
            while self.seen < COUNT and self._ends[self.seen] <= self._length:
                self.seen += 1
            self._changed.notify_all()

    def fail(self, failure):
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            if not self._changed.wait_for(lambda: self._failure or self.seen >= count, TIMEOUT):
                raise TimeoutError(f"the reader has seen {self.seen} messages only")
            if self._failure:
                raise self._failure


class Disturbance:
    """The network of the writer, with a server that dies."""

    def __init__(self, server, progress):
        self.killed_at = []
        self.duplicates = 0
        self._server = server
        self._progress = progress
        self._plan = list(PLAN)
        hooks = {"request": [self._sending], "response": [self._answered]}
        self.client = httpx.Client(event_hooks=hooks, timeout=30)

    def pace(self, index):
        """Before a message is written: stays near the reader, and kills where all is quiet."""
        self._progress.wait_for(index - AHEAD)
        if self._plan[:1] == [(index, "quiet")]:
            self._progress.wait_for(index)
            self._kill("quiet")
            self._server.wait_until_up()

    def _sending(self, _request):
        self._kill("request")

    def _answered(self, response):
        if response.is_success and self._kill("answer"):
            raise httpx.ReadError("the answer is lost")

    def _kill(self, how):
        """Kills, if this is the next of the plan and its time has come."""
        if not self._plan or self._plan[0][1] != how or self._progress.seen < self._plan[0][0]:
            return False
        self._plan.pop(0)
        self.killed_at.append(self._progress.seen)
        # A request goes out while the server dies.
        self._server.restart(wait=how != "request")
        return True


def write(url, kind, written, disturbed, server):
    handle = DurableStream.create(url, content_type=CONTENT_TYPES[kind], client=disturbed.client)
    for index, message in enumerate(written):
        disturbed.pace(index)
        for tries in range(TRIES):
            try:
                handle.append(message, seq=f"{index:08}")
                break
            except SeqConflictError:
                if tries == 0:
                    raise
                disturbed.duplicates += 1
                break
            except httpx.TransportError:
                if tries == TRIES - 1:
                    raise
                server.wait_until_up()


def follow(url, kind, live, progress, server):
    """Ends with the last message: this client does not know that a stream is closed."""
    offset = "-1"
    tries = iter(range(TRIES))

    def again(error):
        if not isinstance(error, httpx.TransportError) or next(tries, None) is None:
            return None
        server.wait_until_up()
        return {}

    while progress.seen < COUNT:
        try:
            with stream(url, offset=offset, live=live, on_error=again) as res:
                for event in res.iter_events(mode=kind):
                    for part in event.data if kind == "json" else [event.data]:
                        progress.add(part)
                    offset = event.next_offset
                    if progress.seen == COUNT:
                        break
        except httpx.TransportError as error:
            if next(tries, None) is None:
                raise error
            server.wait_until_up()
    return offset


class PythonClient(unittest.TestCase):
    """Each message once, in order, over three kills."""

    def scenario(self, kind, live):
        server = Server()
        self.addCleanup(server.stop)
        url = f"{server.url}/v1/stream/clients/python"
        written = messages(kind)
        progress = Progress(kind, written)
        disturbed = Disturbance(server, progress)
        self.addCleanup(disturbed.client.close)
        DurableStream.create(url, content_type=CONTENT_TYPES[kind]).close()

        ends = []

        def read():
            try:
                ends.append(follow(url, kind, live, progress, server))
            except Exception as error:
                progress.fail(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        write(url, kind, written, disturbed, server)
        progress.wait_for(COUNT)
        reader.join(TIMEOUT)

        self.assertEqual(joined(kind, progress.parts), joined(kind, written))
        self.assertEqual(server.kills, len(PLAN))
        self.assertTrue(all(0 < seen < COUNT for seen in disturbed.killed_at), disturbed.killed_at)
        self.assertGreaterEqual(disturbed.duplicates, 1, "what was written, and came again, was known")
        with stream(url, offset=ends[0]) as res:
            self.assertEqual(res.read_bytes(), b"[]" if kind == "json" else b"", "nothing is left")
        with stream(url) as res:
            read_all = {"json": res.read_json, "text": res.read_text, "bytes": res.read_bytes}[kind]()
        self.assertEqual(read_all, joined(kind, written))
        print(f"killed when {disturbed.killed_at} messages were seen; {disturbed.duplicates} duplicates", end=" ... ")

    def test_json_over_sse(self):
        self.scenario("json", "sse")

    def test_json_over_long_poll(self):
        self.scenario("json", "long-poll")

    def test_text_over_sse(self):
        self.scenario("text", "sse")

    def test_text_over_long_poll(self):
        self.scenario("text", "auto")

    # Over server-sent events this client takes text only.
    def test_bytes_over_long_poll(self):
        self.scenario("bytes", "long-poll")


if __name__ == "__main__":
    unittest.main(verbosity=2)
