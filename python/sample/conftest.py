"""A client of one's own, as small as they come, and how tests get it."""

import json
import socket
import threading

import pytest


class Client:
    """Reads lines, tells messages apart by their members, and matches ids."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.events = []
        self.id = 0

    def read(self):
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the server has left")
        return json.loads(line)

    def connect(self):
        while "QMP" not in (message := self.read()):
            self.events.append(message)
        self.greeting = message["QMP"]
        self.execute("qmp_capabilities")
        return self

    def execute(self, command, **arguments):
        self.id += 1
        request = {"execute": command, "arguments": arguments, "id": self.id}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while (message := self.read()).get("id") != self.id:
            if "event" in message:
                self.events.append(message)
        if "error" in message:
            raise RuntimeError(message["error"]["desc"])
        return message["return"]

    def wait_event(self, name):
        for message in iter(self.read, None):
            self.events.append(message)
            if message.get("event") == name:
                return message

    def start_unplug(self, device):
        """Unplugs in the background, and is done when the device is gone."""
        job = threading.Thread(target=self.unplug, args=[device])
        job.start()
        return job

    def unplug(self, device):
        self.execute("device_del", id=device)
        self.wait_event("DEVICE_DELETED")

    def close(self):
        self.lines.close()
        self.socket.close()


@pytest.fixture
def client():
    clients = []

    def connect(path):
        clients.append(Client(path))
        return clients[-1]

    yield connect
    for each in clients:
        each.close()
