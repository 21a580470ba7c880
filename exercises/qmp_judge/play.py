"""Playing one case: the steps of its page."""

import json
import os
import subprocess
import time

from .outcome import Failure
from .pattern import difference
from .telling import shorten, tell


class Play:
    """One case: its steps in order, with notes of what happened."""

    def __init__(self, case, server, commands):
        self.case, self.server, self.commands = case, server, commands
        self.ends, self.now, self.notes, self.fifo = {}, 1, [], None

    def run(self):
        self.open()
        if self.case.mode != "bare":
            self.read('{"QMP": "$object"}')
        if self.case.mode in ("", "oob"):
            oob = ', "arguments": {"enable": ["oob"]}' if self.case.mode else ""
            self.step('-> {"execute": "qmp_capabilities"%s}' % oob)
            self.step('<- {"return": {}}')
        for step in self.case.steps:
            self.step(step)

    def tell(self):
        for label, text in self.notes:
            if text.strip():
                tell(label, shorten(text))

    def open(self):
        self.ends[self.now] = self.server.connect()

    def step(self, step):
        word, _, rest = step.partition(" ")
        end = self.ends.get(self.now)
        if word in ("->", "->|", "->."):
            self.notes.append(("sent", rest))
            data = rest.encode() + (b"" if word == "->|" else b"\n")
            for piece in ([data] if word != "->." else [data[at:at + 1] for at in range(len(data))]):
                end.send(piece)
                if word == "->.":
                    # Apart, so that the server reads them one by one.
                    time.sleep(0.001)
        elif word == "->*":
            count, text = rest.split(" ", 1)
            self.notes.append(("sent", f"{text} with {count} letters for %s"))
            end.send(text.replace("%s", "x" * int(count)).encode())
        elif word == "->x":
            self.notes.append(("sent", f"bytes {rest}"))
            end.send(bytes.fromhex(rest))
        elif word == "<-":
            self.read(rest)
        elif word == "<~":
            self.read_event(rest)
        elif word == "<none>":
            self.expect_no_event(rest)
        else:
            self.act(*rest.split())

    def act(self, what, *words):
        self.notes.append(("then", " ".join((what,) + words)))
        if what == "close":
            self.ends.pop(self.now).close()
        elif what == "half-close":
            self.ends[self.now].half_close()
        elif what == "connect":
            self.open()
        elif what == "use":
            self.now = int(words[0])
        elif what == "exit":
            self.expect_exit()
        elif what == "slow":
            self.slow()
        elif what == "release" and self.fifo:
            # Its writer waits for a reader, which stays until the server ends.
            self.server.readers.append(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK))

    def expect_exit(self):
        process = self.server.process
        try:
            if process:
                process.wait(self.server.patience)
        except subprocess.TimeoutExpired:
            raise Failure("the program to end", "nothing; it still runs") from None

    def slow(self):
        """Sends a command that does not answer before `release`, or soon."""
        if "x-wait" in self.commands:
            return self.step('-> {"execute": "x-wait", "arguments": {"seconds": 1}, "id": "slow"}')
        self.fifo = str(self.server.scratch / f"fifo{time.monotonic_ns()}")
        os.mkfifo(self.fifo)
        return self.step('-> {"execute": "chardev-add", "arguments": {"id": "slow%d", "backend": {"type": '
                         '"file", "data": {"out": "%s"}}}, "id": "slow"}' % (time.monotonic_ns(), self.fifo))

    def read(self, pattern):
        end = self.ends[self.now]
        if pattern == "end":
            try:
                line = end.line()
            except TimeoutError:
                raise Failure("the end of the connection", "nothing; it stays open") from None
            if line is not None:
                raise Failure("the end of the connection", line.decode("utf-8", "replace"))
            return self.notes.append(("came", "the end of the connection"))
        value, text = end.reply(pattern)
        return self.compare(pattern, value, text)

    def read_event(self, pattern):
        name = json.loads(pattern)["event"]
        value, text = self.ends[self.now].event(pattern, name)
        return self.compare(pattern, value, text)

    def expect_no_event(self, name):
        for value, text in self.ends[self.now].events:
            if value["event"] == name:
                raise Failure(f"no other event {name}", text)

    def compare(self, pattern, value, text):
        found = difference(json.loads(pattern), value)
        if found:
            raise Failure(pattern, text, found)
        self.notes.append(("came", text))
