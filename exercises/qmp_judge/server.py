"""The server under judgement, and connections to it."""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

from .outcome import CannotJudge, Failure


class Client:
    """Bytes to the server and messages from it, each with a deadline."""

    def __init__(self, reader, writer, patience, close, half_close):
        self.reader, self.writer, self.patience = reader, writer, patience
        self.close, self.half_close = close, half_close
        self.text, self.events, self.ended = b"", [], False

    def send(self, data):
        try:
            while data:
                data = data[os.write(self.writer, data):]
        except OSError as error:
            reason = "the server has closed the connection; did it end, or crash?"
            raise Failure("the server to read on", error.strerror, reason) from None

    def line(self):
        """The next line that is not empty, or None at the end."""
        deadline = time.monotonic() + self.patience
        while True:
            head, newline, rest = self.text.partition(b"\n")
            if newline:
                self.text = rest
                if head.strip():
                    return head
                continue
            if self.ended:
                self.text = b""
                return head if head.strip() else None
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                raise TimeoutError(head)
            try:
                data = os.read(self.reader, 65536)
            except OSError:
                data = b""
            self.text += data
            self.ended = not data

    def message(self, expected):
        try:
            line = self.line()
        except TimeoutError as error:
            part = error.args[0]
            if part:
                raise Failure(expected, part.decode("utf-8", "replace"),
                              "the line has no end: each message ends with \\r\\n") from None
            raise Failure(expected, f"nothing in {self.patience:g} seconds") from None
        if line is None:
            raise Failure(expected, "the end of the connection")
        try:
            text = line.decode("ascii")
        except UnicodeDecodeError:
            raise Failure(expected, line.decode("utf-8", "replace"),
                          "the server's output is ASCII; write other characters as \\uXXXX") from None
        try:
            value = json.loads(text)
        except ValueError as error:
            raise Failure(expected, text, f"a line is one JSON value, and this is none: {error}") from None
        return value, text

    def reply(self, expected):
        """The next message that is no event."""
        while True:
            value, text = self.message(expected)
            if not (isinstance(value, dict) and "event" in value):
                return value, text
            self.events.append((value, text))

    def event(self, expected, name):
        """An event of this name that has come or comes before the patience ends."""
        while True:
            for at, (value, text) in enumerate(self.events):
                if value["event"] == name:
                    del self.events[at]
                    return value, text
            value, text = self.message(expected)
            if not (isinstance(value, dict) and "event" in value):
                raise Failure(expected, text, f"a reply came before the event {name}")
            self.events.append((value, text))


class Server:
    """Starts the command, and again when it has ended."""

    def __init__(self, command, path, patience, scratch):
        self.command, self.patience, self.scratch = command, patience, scratch
        self.given = path
        self.on_socket = bool(path) or any("{socket}" in word for word in command)
        self.path = path or str(scratch / "qmp")
        self.process, self.clients, self.readers = None, [], []
        self.served = False
        self.errors = open(scratch / "stderr", "w+b", buffering=0)

    def start(self, **streams):
        words = [word.replace("{socket}", self.path) for word in self.command]
        try:
            return subprocess.Popen(words, stderr=self.errors, start_new_session=True, **streams)
        except OSError as error:
            raise CannotJudge(f"{words[0]}: {error.strerror}") from None

    def said(self, since):
        """What the server has written to its standard error since then."""
        return os.pread(self.errors.fileno(), 4096, since).decode("utf-8", "replace").splitlines()

    def connect(self):
        client = self.connect_socket() if self.on_socket else self.connect_pipes()
        self.clients.append(client)
        return client

    def connect_pipes(self):
        process = self.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def close():
            stop(process)
            for stream in (process.stdin, process.stdout):
                try:
                    stream.close()
                except OSError:
                    pass

        return Client(process.stdout.fileno(), process.stdin.fileno(), self.patience, close,
                      process.stdin.close)

    def connect_socket(self):
        deadline = time.monotonic() + max(self.patience, 5)
        while True:
            self.keep_running()
            end = socket.socket(socket.AF_UNIX)
            try:
                end.connect(self.path)
                self.served = True
                break
            except OSError as error:
                end.close()
                if self.given or time.monotonic() > deadline:
                    raise CannotJudge(f"no server listens on {self.path}: {error.strerror}") from None
                time.sleep(0.01)
        return Client(end.fileno(), end.fileno(), self.patience, end.close,
                      lambda: end.shutdown(socket.SHUT_WR))

    def keep_running(self):
        """Starts the server, unless it runs or has ended before it served anyone."""
        if self.given or (self.process and self.process.poll() is None):
            return
        if self.process and not self.served:
            said = "".join(f"\n    {line}" for line in self.said(0))
            raise CannotJudge(f"the server ended with status {self.process.returncode} "
                              f"before it listened on {self.path}{said}")
        pathlib.Path(self.path).unlink(missing_ok=True)
        self.process, self.served = self.start(stdin=subprocess.DEVNULL), False

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients = []

    def end(self):
        self.close_clients()
        if self.process:
            stop(self.process)
            self.process = None
        for reader in self.readers:
            os.close(reader)
        self.readers = []


def stop(process):
    """Ends a server with all that it started."""
    if process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(2)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
    process.wait()
