"""The mock of a test: it starts, controls and verifies `qmonitor-mock`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ._control import CommandError, Control, ControlError, connect_when_there
from ._program import find_program

#: What names a scenario: a file, or its content.
Scenario = Union[str, "os.PathLike[str]", Mapping[str, Any]]


@dataclass(frozen=True)
class Request:
    """A request that came to the mock, or what came in its place."""

    n: int
    time: int
    monitor: str
    connection: int
    peer: str
    fds: int
    raw: str
    state: str
    execute: Optional[str] = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: Any = None
    oob: bool = False
    hmp: Optional[str] = None
    error: Optional[str] = None

    def __str__(self) -> str:
        if self.execute is not None:
            return f"{self.execute} {json.dumps(self.arguments)}" if self.arguments else self.execute
        if self.hmp is not None:
            return f"(hmp) {self.hmp}"
        return f"{self.raw[:80]!r} ({self.error})"


@dataclass(frozen=True)
class Verdict:
    """Whether all expectations hold, and those that do not."""

    ok: bool
    failures: List[str]

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True)
class Remark:
    """What a strict server would not have liked."""

    n: int
    connection: int
    kind: str
    text: str


@dataclass(frozen=True)
class Launch:
    """How the fake emulator was called."""

    n: int
    pid: int
    argv: List[str]


@dataclass(frozen=True)
class Choice:
    """What a test was parametrised with."""

    faults: Tuple[str, ...] = ()
    profile: Optional[str] = None
    seed: Optional[int] = None
    time: Optional[str] = None


class Qmonitor:
    """A mocked QEMU.

    It starts when a scenario is loaded, or else when :attr:`socket` is first
    asked for. When the test has ended its expectations are verified.
    """

    def __init__(
        self,
        choice: Choice = Choice(),
        folders: Sequence[Path] = (),
        replay: str = "",
        patience: float = 10,
    ) -> None:
        #: How many seconds a test waits before it fails.
        self.patience = patience
        self._choice = choice
        self._folders = [Path.cwd(), *folders]
        self._replay = replay
        # Paths of sockets have to be short, which those of tmp_path are not.
        self._dir = Path(tempfile.mkdtemp(prefix="qm-"))
        self._scenario = "-"
        self._seed = choice.seed
        self._process: Optional[_Process] = None
        self._emulator: Optional[_Emulator] = None

    # -- How it is started

    def load(
        self,
        scenario: Scenario,
        *,
        options: Sequence[str] = (),
        profile: Optional[str] = None,
        seed: Optional[int] = None,
        time: Optional[str] = None,
        faults: Sequence[str] = (),
        hmp: bool = False,
        qga: bool = False,
        tcp: bool = False,
    ) -> Qmonitor:
        """Starts the mock with a scenario: a file, or the scenario itself as a dict.

        A file is looked for in the working directory, in pytest's root, and
        beside the test. ``options`` are those of the machine; ``profile``,
        ``seed`` and ``time`` go before the scenario's; ``faults`` are on from
        the start. ``hmp`` and ``qga`` open sockets for people and for clients
        of the guest agent; ``tcp`` opens a port beside the socket.
        """
        __tracebackhide__ = True
        self._scenario = self._file_of(scenario)
        self._start(options, profile, seed, time, faults, hmp, qga, tcp)
        return self

    def as_qemu(self, scenario: Optional[Scenario] = None) -> str:
        """Makes a fake ``qemu-system-x86_64``, and returns its path.

        It records how it is called (:attr:`argv`, :meth:`option`), then serves
        QMP as its options say, with the scenario given here or loaded before.
        """
        if scenario is not None:
            self._scenario = self._file_of(scenario)
        if self._process is not None:
            # What was loaded is for the emulator; there was no client yet.
            self._process.discard()
            self._process = None
        words = [self._scenario, *self._chosen(None, None, None, ())]
        self._emulator = _Emulator(self._dir / "qemu", words, self.patience)
        return str(self._emulator.path)

    def _file_of(self, scenario: Scenario) -> str:
        if isinstance(scenario, Mapping):
            path = self._dir / "scenario.json"
            path.write_text(json.dumps(scenario), encoding="utf-8")
            return str(path)
        name = os.fspath(scenario)
        if name == "-":
            return name
        there = (folder / name for folder in self._folders)
        # If there is none, the program says so.
        return str(next((path for path in there if path.exists()), name))

    def _chosen(
        self,
        profile: Optional[str],
        seed: Optional[int],
        time: Optional[str],
        faults: Sequence[str],
    ) -> List[str]:
        choice = self._choice
        # What the marker says goes before what the test says: it plays variants of it.
        self._seed = choice.seed if choice.seed is not None else seed
        words: List[str] = []
        options = [
            ("--profile", choice.profile or profile),
            ("--seed", self._seed),
            ("--time", choice.time or time),
        ]
        for name, value in options:
            if value is not None:
                words += [name, str(value)]
        for fault in [*faults, *choice.faults]:
            words += ["--fault", fault]
        return words

    def _start(
        self,
        options: Sequence[str] = (),
        profile: Optional[str] = None,
        seed: Optional[int] = None,
        time: Optional[str] = None,
        faults: Sequence[str] = (),
        hmp: bool = False,
        qga: bool = False,
        tcp: bool = False,
    ) -> _Process:
        __tracebackhide__ = True
        if self._process is not None:
            process, self._process = self._process, None
            failure = process.finish()
            if failure is not None:
                raise AssertionError(failure)
        words = [self._scenario, "--qmp", f"unix:{self._dir / 'qmp'}"]
        if tcp:
            words += ["--qmp", "tcp:127.0.0.1:0"]
        if hmp:
            words += ["--hmp", f"unix:{self._dir / 'hmp'}"]
        if qga:
            words += ["--qga", f"unix:{self._dir / 'qga'}"]
        words += self._chosen(profile, seed, time, faults)
        if options:
            words += ["--", *options]
        self._process = _Process(self._dir, words, self.patience)
        return self._process

    def _running(self) -> _Process:
        return self._process or self._start()

    # -- Where it is

    @property
    def socket(self) -> str:
        """The path of the socket where QMP clients come."""
        self._running()
        return str(self._dir / "qmp")

    @property
    def hmp_socket(self) -> str:
        """The path of the socket where people come, if ``hmp`` was asked for."""
        return self._running().unix("hmp")

    @property
    def qga_socket(self) -> str:
        """The path of the guest agent's socket, if ``qga`` was asked for."""
        return self._running().unix("qga")

    @property
    def address(self) -> Tuple[str, int]:
        """Host and port where QMP clients come, if ``tcp`` was asked for."""
        return self._running().tcp("qmp")

    @property
    def seed(self) -> Optional[int]:
        """The seed, unless the scenario or nothing says one."""
        return self._seed

    # -- What came

    @property
    def requests(self) -> List[Request]:
        """The requests that came, in order."""
        return self.find_requests()

    def find_requests(
        self, execute: Optional[str] = None, arguments: Optional[Mapping[str, Any]] = None, /, **more: Any
    ) -> List[Request]:
        """The requests that came and fit; arguments may be matchers, as in a scenario."""
        match: Dict[str, Any] = {}
        if execute is not None:
            match["match"] = _when(execute, arguments, more)
        found = self.control("query-mock-requests", match)
        return [Request(**members) for members in found]

    def wait_request(
        self,
        execute: str,
        arguments: Optional[Mapping[str, Any]] = None,
        /,
        *,
        nth: int = 1,
        timeout: Optional[float] = None,
        **more: Any,
    ) -> Request:
        """Waits until a request was dealt with, and returns it.

        Its reply is written and the events after it are armed, or it is held,
        or it will never be answered. ``nth`` waits for the nth that fits.
        Arguments whose names are no words of Python go into ``arguments``.
        """
        limit = self.patience if timeout is None else timeout

        def look() -> Optional[Request]:
            fitting = self.find_requests(execute, arguments, **more)
            done = [request for request in fitting if request.state != "waiting"]
            return done[nth - 1] if len(done) >= nth else None

        found: Optional[Request] = self._control().wait_for_requests(look, limit)
        if found is None:
            expected = json.dumps(_when(execute, arguments, more))
            raise AssertionError(f"{expected} did not come in {limit} s\n{self.describe()}")
        return found

    def wait_connected(self, nth: int = 1, *, timeout: Optional[float] = None) -> None:
        """Waits until the nth QMP client has connected."""
        self._wait_client("connected", nth, timeout)

    def wait_disconnected(self, nth: int = 1, *, timeout: Optional[float] = None) -> None:
        """Waits until n QMP clients have left."""
        self._wait_client("disconnected", nth, timeout)

    def _wait_client(self, what: str, nth: int, timeout: Optional[float]) -> None:
        limit = self.patience if timeout is None else timeout
        control = self._control()
        counts: Dict[str, int] = getattr(control, what)

        def holds() -> bool:
            return sum(n for label, n in counts.items() if label.startswith("qmp")) >= nth

        if not control.wait(holds, limit):
            raise AssertionError(f"client {nth} has not {what} in {limit} s\n{self.describe()}")

    @property
    def near_misses(self) -> List[Tuple[str, List[str]]]:
        """What was expected and did not come, with what came near it."""
        return [(miss["expected"], miss["came"]) for miss in self.control("query-mock-near-misses")]

    def verify(self) -> Verdict:
        """Whether all expectations hold so far. At the end they are verified anyway."""
        return Verdict(**self.control("mock-verify"))

    def lint(self) -> List[Remark]:
        """What a strict server would not have liked of the requests."""
        return [Remark(**remark) for remark in self.control("mock-lint")]

    # -- What it does

    def control(
        self, command: str, arguments: Optional[Mapping[str, Any]] = None, /, **more: Any
    ) -> Any:
        """Has the mock carry out a command of the control channel."""
        return self._control().call(command, {**(arguments or {}), **more})

    def stub(self, when: Union[str, Mapping[str, Any]], **members: Any) -> str:
        """Adds a stub before the others, and returns its name.

        ``when`` is a command or a matcher; the members are those of a stub in a
        scenario, ``pass_`` for ``pass``.
        """
        meant = {"execute": when} if isinstance(when, str) else dict(when)
        named = {name.rstrip("_"): value for name, value in members.items()}
        stub: Dict[str, str] = self.control("mock-stub-add", when=meant, **named)
        return stub["id"]

    def unstub(self, name: str) -> None:
        """Takes a stub away."""
        self.control("mock-stub-del", id=name)

    def fault(self, name: str, enabled: bool = True) -> None:
        """Switches a fault on or off: one of the scenario, or a built-in one."""
        self.control("mock-fault-set", name=name, enabled=enabled)

    def emit(
        self,
        event: str,
        data: Optional[Mapping[str, Any]] = None,
        /,
        *,
        to: Optional[str] = None,
        unchecked: bool = False,
        throttle: bool = False,
        **more: Any,
    ) -> None:
        """Sends an event to all clients, or to those of the monitor ``to``."""
        arguments: Dict[str, Any] = {"event": event, "data": {**(data or {}), **more}}
        if to is not None:
            arguments["to"] = to
        self.control("mock-emit", arguments, unchecked=unchecked, throttle=throttle)

    def hold(self, point: str) -> None:
        """Holds again what comes to a point that was released."""
        self.control("mock-hold", point=point)

    def release(self, point: str) -> int:
        """Answers what is held at a point; returns how many requests were held."""
        released: int = self.control("mock-release", point=point)["released"]
        return released

    def advance(self, seconds: Optional[float] = None) -> int:
        """Lets virtual time pass and what is due happen; returns how many timers ran.

        Without a number, to the next deadline.
        """
        step = {} if seconds is None else {"ns": round(seconds * 1_000_000_000)}
        fired: int = self.control("clock-step", step)["fired"]
        return fired

    def save(self, file: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the scenario in force, in the format that is read."""
        self.control("mock-save", file=os.path.abspath(file))

    def reset(self, keep_stubs: bool = False) -> None:
        """Starts over: forgets the requests, the counts and what failed."""
        self.control("mock-reset", {"keep-stubs": keep_stubs})

    # -- The fake emulator

    @property
    def launches(self) -> List[Launch]:
        """How the fake emulator was called, each time."""
        return self._emulator.launches() if self._emulator else []

    @property
    def argv(self) -> List[str]:
        """The words of the emulator's last command line, without the program's name."""
        if self._emulator is not None:
            return self._emulator.last().argv
        argv: List[str] = self.control("query-mock-argv")
        return argv

    def options(self, name: str) -> List[str]:
        """The values of an option of the command line, in order."""
        wanted = name.lstrip("-")
        argv = self.argv
        # An option without a value has none, but is there.
        pairs = zip(argv, [*argv[1:], ""])
        return [value for word, value in pairs if word[:1] == "-" and word.lstrip("-") == wanted]

    def option(self, name: str) -> Optional[str]:
        """The value of an option of the command line; the last one, as QEMU has it."""
        values = self.options(name)
        return values[-1] if values else None

    # -- The end

    def _control(self) -> Control:
        if self._emulator is not None:
            return self._emulator.control()
        return self._running().control

    def describe(self) -> str:
        """What a person needs to see why a test failed."""
        lines: List[str] = []
        if self._process is not None or self._emulator is not None:
            try:
                lines += [f"  {failure}" for failure in self.verify().failures]
                near = self.near_misses
                lines += ["near misses:"] if near else []
                lines += [f"  {expected} was expected; {'; '.join(came)} came" for expected, came in near]
                requests = self.requests
                lines.append(f"{len(requests)} requests came:")
                lines += [f"  {request.n} {request}" for request in requests[-20:]]
            except (ControlError, CommandError) as e:
                lines.append(str(e))
        seed = "" if self._seed is None else f"seed {self._seed}; "
        lines.append(f"{seed}to replay: {self._replay}")
        return "\n".join(lines)

    def finish(self) -> Optional[str]:
        """Ends what runs, and tells of expectations that did not hold."""
        failures: List[str] = []
        for running in (self._process, self._emulator):
            failure = running.finish() if running is not None else None
            if failure is not None:
                failures.append(failure)
        shutil.rmtree(self._dir, ignore_errors=True)
        if not failures:
            return None
        return "\n".join([*failures, f"in pytest: {self._replay}"])


def _when(
    execute: str, arguments: Optional[Mapping[str, Any]], more: Mapping[str, Any]
) -> Dict[str, Any]:
    when: Dict[str, Any] = {"execute": execute}
    if arguments or more:
        when["arguments"] = {**(arguments or {}), **more}
    return when


class _Process:
    """A running `qmonitor-mock`."""

    def __init__(self, folder: Path, words: Sequence[str], patience: float) -> None:
        __tracebackhide__ = True
        self._patience = patience
        self._said = folder / "stderr"
        control = folder / "control"
        command = [find_program(), *words[:1], "--control", f"unix:{control}", *words[1:]]
        with open(self._said, "wb") as said:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            )
        self._addresses: List[Tuple[str, str]] = []
        assert self._child.stdout is not None
        with self._child.stdout as out:
            for line in out:
                words = line.decode().rstrip("\n").split(" ", 2)
                if words[0] == "ready":
                    break
                self._addresses.append((words[1], words[2]))
            else:
                self._child.wait()
                # A scenario or an option is wrong; the program has said what.
                raise ValueError(f"the mock does not start:\n{self._stderr()}")
        self.control = Control(str(control), patience)

    def _stderr(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace").rstrip("\n")

    def _address(self, kind: str, scheme: str) -> str:
        for known, address in self._addresses:
            if known == kind and address.startswith(scheme):
                return address[len(scheme) :]
        asked = {"unix:": f"{kind}=True", "tcp:": "tcp=True"}[scheme]
        raise LookupError(f"there is no such address; load the scenario with {asked}")

    def unix(self, kind: str) -> str:
        return self._address(kind, "unix:")

    def tcp(self, kind: str) -> Tuple[str, int]:
        host, _, port = self._address(kind, "tcp:").rpartition(":")
        return host, int(port)

    def discard(self) -> None:
        """Ends it, whatever was expected."""
        self.control.close()
        self._child.kill()
        self._child.wait()

    def finish(self) -> Optional[str]:
        """Ends it, and returns what it says of its expectations if some did not hold."""
        self._child.terminate()
        try:
            status = self._child.wait(self._patience)
        except subprocess.TimeoutExpired:
            self.discard()
            return f"the mock has not ended in {self._patience} s:\n{self._stderr()}"
        self.control.close()
        said = self._stderr()
        by_fault = "qmonitor-mock: a fault ends the process" in said
        if status == 0 or (by_fault and " failed:\n" not in said):
            return None
        told = said.splitlines()
        # That a signal ended it is no news here.
        told = [line for line in told if "terminating on signal" not in line]
        if status != 1:
            told.append(f"the mock ended with {status}")
        return "\n".join(told)


class _Emulator:
    """A fake emulator in a folder of its own."""

    def __init__(self, folder: Path, words: Sequence[str], patience: float) -> None:
        self._folder = folder
        self._patience = patience
        self._controls: Dict[int, Control] = {}
        command = [find_program(), "--as-qemu", str(folder), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise ValueError(f"the emulator cannot be made:\n{done.stderr.decode()}")
        self.path = Path(done.stdout.decode().rstrip("\n"))

    def launches(self) -> List[Launch]:
        try:
            text = (self._folder / "argv.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        # A launch is there when its line has an end.
        return [Launch(**json.loads(line)) for line in text.splitlines(True) if line.endswith("\n")]

    def last(self) -> Launch:
        launches = self.launches()
        if not launches:
            raise LookupError("the emulator was not launched yet")
        return launches[-1]

    def _file(self, name: str, launch: Launch) -> Path:
        return self._folder / f"{name}.{launch.n}"

    def control(self) -> Control:
        """The control channel of the last launch."""
        return self._connect(self.last())

    def _connect(self, launch: Launch) -> Control:
        control = self._controls.get(launch.n)
        if control is None:
            path = str(self._file("control", launch))

            def runs() -> bool:
                return not self._file("verdict", launch).exists()

            control = connect_when_there(path, self._patience, runs)
            self._controls[launch.n] = control
        return control

    def finish(self) -> Optional[str]:
        """Ends what was launched and left, and returns what did not hold."""
        failures = [failure for failure in map(self._conclude, self.launches()) if failure]
        for control in self._controls.values():
            control.close()
        return "\n".join(failures) or None

    def _conclude(self, launch: Launch) -> str:
        verdict = self._file("verdict", launch)
        socket = self._file("control", launch)
        if not verdict.exists() and socket.exists():
            try:
                control = self._connect(launch)
                control.call("quit", {})
                deadline = time.monotonic() + self._patience
                while not verdict.exists() and time.monotonic() < deadline:
                    time.sleep(0.001)
            except (ControlError, CommandError, OSError):
                pass  # It ends, or has ended.
        if verdict.exists():
            return verdict.read_text(encoding="utf-8").rstrip("\n")
        if socket.exists():
            warnings.warn(f"launch {launch.n} of the emulator was killed: nothing was verified")
        return ""


def replay_line(node: str, seed: Optional[int]) -> str:
    """How a test is run again as it ran."""
    setting = "" if seed is None else f"QMONITOR_SEED={seed} "
    return f"{setting}pytest {shlex.quote(node)}"


