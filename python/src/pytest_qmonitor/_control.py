"""A client of the control channel."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from typing import Any, Callable, Dict, Optional

Message = Dict[str, Any]


class ControlError(RuntimeError):
    """The mock does not answer: it has ended, or it hangs."""


class CommandError(RuntimeError):
    """The mock refuses a command of the control channel."""


class Control:
    """A connection to the control channel.

    A thread reads what comes, so that the mock never waits for a test that
    does not listen. It keeps of the events what is asked for, not all of them.
    """

    def __init__(self, path: str, patience: float) -> None:
        self._patience = patience
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._replies: queue.Queue[Optional[Message]] = queue.Queue()
        self._calls = threading.Lock()
        self._changed = threading.Condition()
        #: How many requests the mock has dealt with since this client came.
        self.dealt_with = 0
        #: How many clients have connected and left, by the label of the monitor.
        self.connected: Dict[str, int] = {}
        self.disconnected: Dict[str, int] = {}
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="qmonitor-control", daemon=True)
        self._reader.start()
        self._answer()  # the greeting
        self.call("qmp_capabilities", {})

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    message: Message = json.loads(line)
                    if "event" in message:
                        self._note(message["event"], message.get("data", {}))
                    else:
                        self._replies.put(message)
        except (OSError, ValueError):
            pass  # The mock was killed, perhaps in the middle of a line.
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._replies.put(None)

    def _note(self, event: str, data: Message) -> None:
        with self._changed:
            if event == "MOCK_REQUEST":
                self.dealt_with += 1
            elif event in ("MOCK_CONNECTED", "MOCK_DISCONNECTED"):
                counts = self.connected if event == "MOCK_CONNECTED" else self.disconnected
                counts[data["monitor"]] = counts.get(data["monitor"], 0) + 1
            self._changed.notify_all()

    def _answer(self) -> Message:
        try:
            message = self._replies.get(timeout=self._patience)
        except queue.Empty:
            raise ControlError(f"the mock has not answered in {self._patience} s") from None
        if message is None:
            self._replies.put(None)
            raise ControlError("the mock has ended")
        return message

    def call(self, command: str, arguments: Message) -> Any:
        """Has the mock carry out a command, and returns what it returns."""
        request = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        with self._calls:
            try:
                self._socket.sendall(request.encode())
            except OSError:
                raise ControlError("the mock has ended") from None
            answer = self._answer()
        if "error" in answer:
            raise CommandError(answer["error"]["desc"])
        return answer["return"]

    def wait(self, holds: Callable[[], bool], timeout: float) -> bool:
        """Waits until something that events tell of holds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or holds(), timeout)
            return holds()

    def wait_for_requests(self, look: Callable[[], Optional[Any]], timeout: float) -> Optional[Any]:
        """Looks again whenever a request was dealt with, until something is found."""
        deadline = time.monotonic() + timeout
        while True:
            before = self.dealt_with
            found = look()
            if found is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not self.wait(lambda: self.dealt_with > before, left):
                return look()

    def close(self) -> None:
        """Leaves, and waits for the thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The mock has left first.
        self._reader.join(self._patience)
        self._socket.close()


def connect_when_there(path: str, patience: float, runs: Callable[[], bool]) -> Control:
    """Connects to the channel of a program that is starting."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return Control(path, patience)
        except (FileNotFoundError, ConnectionRefusedError):
            if not runs() or time.monotonic() > deadline:
                raise ControlError(f"nothing listens at {path}") from None
            time.sleep(0.001)


