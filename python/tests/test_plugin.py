"""What the plugin makes of tests: how they are parametrised, and how they fail."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

import pytest_qmonitor
from pytest_qmonitor import CommandError, Qmonitor

CLIENT = """
import json, socket, time

def connect(path):
    deadline = time.monotonic() + 10
    while True:  # an emulator may be starting
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        try:
            s.connect(path)
            return s, s.makefile("rw")
        except OSError:
            s.close()
            assert time.monotonic() < deadline

def execute(path, *commands):
    s, lines = connect(path)
    with s, lines:
        for command in ("qmp_capabilities", *commands):
            lines.write(json.dumps({"execute": command}) + "\\n")
        lines.flush()
        assert "QMP" in lines.readline()
        replies = 0
        while replies < len(commands) + 1:
            replies += "event" not in json.loads(lines.readline())
"""


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.delenv("QMONITOR_SEED", raising=False)
    pytester.makepyfile(client=CLIENT)

    def run(test, *options):
        pytester.makepyfile(test_it=f"import pytest\nfrom client import connect, execute\n{test}")
        return pytester.runpytest_inprocess(*options)

    return run


def test_a_test_without_expectations_passes(project):
    result = project("def test(qmonitor): execute(qmonitor.socket, 'query-status')")
    result.assert_outcomes(passed=1)


def test_an_unused_fixture_starts_nothing(project):
    result = project("def test(qmonitor): assert qmonitor._process is None")
    result.assert_outcomes(passed=1)


def test_what_did_not_come_is_told_with_what_came_near(project):
    result = project(
        """
def test(qmonitor):
    qmonitor.load({"expect": [{"execute": "query-status"}]}, seed=5)
    execute(qmonitor.socket, "query-stats")
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test*",
            "*expected {execute: query-status}, but it never came",
            "near misses:",
            "  {execute: query-status} was expected; query-stats came",
            "2 requests came:",
            "*seed 5; to replay: qmonitor-mock *--seed 5*",
            "in pytest: pytest test_it.py::test",
        ]
    )


def test_a_strict_mock_fails_the_test(project):
    result = project(
        """
def test(qmonitor):
    qmonitor.load({"base": "strict"})
    execute(qmonitor.socket, "query-status")
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*unexpected command: query-status*"])


def test_a_failed_test_tells_what_came_and_fails_once(project):
    result = project(
        """
@pytest.mark.qmonitor(faults=["chop"], seeds=[7])
def test(qmonitor):
    qmonitor.load({"expect": [{"execute": "cont"}]})
    execute(qmonitor.socket, "stop")
    assert False
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- qmonitor -*",
            "  expected {execute: cont}, but it never came",
            "2 requests came:",
            "  2 stop",
            "seed 7; to replay: *pytest 'test_it.py::test[[]chop-seed7[]]'",
        ]
    )


def test_the_marker_parametrises(project, monkeypatch):
    test = """
@pytest.mark.qmonitor(faults=["chop", ["storm", "coalesce"], None], profiles=["10.0", "11.1"])
class TestIt:
    @pytest.mark.qmonitor(seeds=2)
    def test(self, qmonitor):
        assert qmonitor.seed in (0, 1)
        execute(qmonitor.socket, "query-status")

def test_other(qmonitor):
    pass
"""
    result = project(test, "-v")
    result.assert_outcomes(passed=13)
    result.stdout.fnmatch_lines(
        [
            "*test[[]chop-10.0-seed0[]] PASSED*",
            "*test[[]storm+coalesce-11.1-seed1[]] PASSED*",
            "*test[[]no-fault-10.0-seed0[]] PASSED*",
            "*test_other PASSED*",
        ]
    )
    monkeypatch.setenv("QMONITOR_SEED", "1")
    project(test).assert_outcomes(passed=7)


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("fault=['chop']", "*the marker qmonitor has no 'fault'; did you mean 'faults'?*"),
        ("'chop'", "*the marker qmonitor takes arguments by name only*"),
        ("faults=['chpo']", "*--fault: unknown fault 'chpo'; did you mean 'chop'?*"),
        ("profiles=['10.1']", "*unknown profile '10.1'*did you mean*"),
    ],
)
def test_a_wrong_marker_is_told(project, marker, told):
    result = project(f"@pytest.mark.qmonitor({marker})\ndef test(qmonitor): qmonitor.socket")
    assert result.ret != 0
    assert re.search(told.replace("*", ".*").replace("?", r"\?"), str(result.stdout) + str(result.stderr))


def test_a_wrong_scenario_is_told_with_its_place(project, pytester):
    pytester.makefile(".yaml", wrong="stubs:\n  - when: {execute: query-statsu}\n    pass: true\n")
    result = project("def test(qmonitor): qmonitor.load('wrong.yaml')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wrong.yaml:2:21: stubs[[]0[]].when.execute: unknown command*did you mean*"])


def test_scenarios_stand_beside_the_test_too(pytester):
    pytester.makepyfile(
        **{
            "deep/scenarios/empty": "",
            "deep/test_deep": "def test(qmonitor): qmonitor.load('scenarios/s.yaml')",
        }
    )
    (pytester.path / "deep/scenarios/s.yaml").write_text("base: empty\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_virtual_time_is_chosen_by_the_marker(qmonitor):
    with pytest.raises(CommandError, match="time is real"):
        qmonitor.advance(1)


@pytest.mark.qmonitor(time="virtual")
def test_time_moves_on_order(qmonitor):
    qmonitor.stub("stop", reply={"return": {}}, then=[{"delay": "1h", "event": "STOP"}])
    assert qmonitor.advance(1) == 0


def test_everything_has_a_socket(qmonitor):
    qmonitor.load("-", hmp=True, qga=True, tcp=True, options=["-name", "vm"])
    for path in (qmonitor.socket, qmonitor.hmp_socket, qmonitor.qga_socket):
        assert os.path.exists(path)
    assert qmonitor.address[0] == "127.0.0.1" and qmonitor.address[1] > 0
    assert qmonitor.argv == ["-name", "vm"]
    qmonitor.load("-")
    with pytest.raises(LookupError, match="hmp=True"):
        qmonitor.hmp_socket


def test_what_does_not_come_is_told(qmonitor):
    with pytest.raises(AssertionError, match='{"execute": "stop"} did not come'):
        qmonitor.wait_request("stop", timeout=0.01)
    with pytest.raises(AssertionError, match="client 1 has not connected"):
        qmonitor.wait_connected(timeout=0.01)


def test_the_state_can_be_asked_saved_and_reset(qmonitor, tmp_path):
    qmonitor.load({"expect": [{"execute": "stop", "times": 1}]})
    assert not qmonitor.verify()
    assert qmonitor.near_misses == [] and qmonitor.lint() == []
    qmonitor.fault("chop")
    qmonitor.save(tmp_path / "saved.yaml")
    assert "chop" in (tmp_path / "saved.yaml").read_text()
    with pytest.raises(CommandError, match="did you mean 'STOP'"):
        qmonitor.emit("STPO")
    qmonitor.load(tmp_path / "saved.yaml") if qmonitor.verify() else None
    with pytest.raises(AssertionError, match="expected {execute: stop}"):
        qmonitor.load("-")


def test_a_mock_that_a_fault_ends_has_not_failed(project):
    test = """
@pytest.mark.parametrize("do", ["kill", {"exit": 3}])
def test(qmonitor, do):
    qmonitor.load({"faults": {"die": {"at": "reply", "of": "stop", "do": do}}})
    with pytest.raises((ValueError, OSError)):
        execute(qmonitor.socket, "stop", "cont")
"""
    project(test).assert_outcomes(passed=2)
    test = test.replace("}})", "}, 'expect': [{'execute': 'system_reset'}]})")
    project(test).assert_outcomes(passed=2, errors=2)


def test_a_mock_that_crashes_fails_the_test(project):
    result = project(
        """
import os, signal
def test(qmonitor):
    qmonitor.socket
    os.kill(qmonitor._process._child.pid, signal.SIGKILL)
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the mock ended with -9"])


EMULATOR = """
import subprocess, os
def launch(qmonitor, scenario, *commands):
    path = "q"
    qemu = qmonitor.as_qemu(scenario)
    assert os.path.basename(qemu) == "qemu-system-x86_64"
    vm = subprocess.Popen([qemu, "-qmp", f"unix:{path},server=on,wait=off"], stderr=subprocess.DEVNULL)
    execute(path, *commands)
    return vm
"""


def test_an_emulator_is_verified_whether_it_has_ended_or_not(project):
    result = project(
        EMULATOR
        + """
@pytest.mark.parametrize("commands", [["query-status"], ["quit"], ["stop", "quit"]])
def test(qmonitor, commands):
    vm = launch(qmonitor, {"expect": [{"execute": "stop"}]}, *commands)
    if "quit" in commands:
        vm.wait()
    os.remove("q") if os.path.exists("q") else None
"""
    )
    result.assert_outcomes(passed=3, errors=2)


def test_what_an_emulator_got_can_be_asked(project):
    result = project(
        EMULATOR
        + """
def test(qmonitor):
    qmonitor.as_qemu()
    with pytest.raises(LookupError):
        qmonitor.argv
    launch(qmonitor, None, "stop")
    assert qmonitor.wait_request("stop").n == 2
    assert qmonitor.option("qmp").startswith("unix:")
    assert qmonitor.option("-m") is None
    assert [launch.n for launch in qmonitor.launches] == [1]
"""
    )
    result.assert_outcomes(passed=1)


def test_an_emulator_that_does_not_start_is_told(project):
    result = project(
        """
import subprocess
def test(qmonitor):
    long = "x" * 200
    vm = subprocess.run([qmonitor.as_qemu(), "-qmp", f"unix:{long},server=on"], stderr=subprocess.DEVNULL)
    assert vm.returncode == 2
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*UNIX socket path 'xxx*' is too long*"])


def test_what_is_loaded_is_the_emulators(project):
    result = project(
        EMULATOR
        + """
def test(qmonitor):
    qmonitor.load({"expect": [{"execute": "stop"}]})
    launch(qmonitor, None, "stop")
"""
    )
    result.assert_outcomes(passed=1)


def test_the_program_comes_with_the_package():
    version = subprocess.run([pytest_qmonitor.find_program(), "--version"], capture_output=True, check=True)
    assert version.stdout.startswith(b"qmonitor-mock ")


def test_without_pytest_the_mock_serves_too():
    mock = Qmonitor()
    assert os.path.exists(mock.socket)
    assert mock.finish() is None
    assert not os.path.exists(mock.socket.rsplit("/", 1)[0]) or mock.finish() is None
