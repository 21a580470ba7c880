"""A client of one's own against a mock."""

import subprocess

import pytest


def test_event_after_the_reply(qmonitor, client):
    qmonitor.load("tests/scenarios/unplug.yaml")
    c = client(qmonitor.socket).connect()
    job = c.start_unplug("d0")
    qmonitor.wait_request("device_del", id="d0")
    assert job.is_alive()
    qmonitor.advance(0.2)  # the event is due now
    job.join()
    assert [r.execute for r in qmonitor.requests][:2] == ["qmp_capabilities", "device_del"]


@pytest.mark.qmonitor(faults=["early-event", "chop", ["storm", "coalesce"]], profiles=["10.0", "11.1"], seeds=3)
def test_connect(qmonitor, client):
    c = client(qmonitor.socket).connect()
    assert c.execute("query-status")["status"] == "running"


@pytest.mark.qmonitor(faults=["silent", "no-greeting"])
def test_a_server_that_says_nothing(qmonitor, client):
    c = client(qmonitor.socket)
    c.socket.settimeout(0.05)
    with pytest.raises(OSError):  # its own timeout
        c.connect()


def test_a_command_is_held(qmonitor, client):
    qmonitor.load({"stubs": [{"when": {"execute": "query-block"}, "hold": "slow"}]})
    c = client(qmonitor.socket).connect()
    c.socket.sendall(b'{"execute": "query-block", "id": "b"}\n')
    assert qmonitor.wait_request("query-block").state == "held"
    qmonitor.emit("STOP")
    assert qmonitor.release("slow") == 1
    assert [c.read().get("event"), c.read().get("id")] == ["STOP", "b"]


def test_a_stub_is_added_and_taken_away(qmonitor, client):
    c = client(qmonitor.socket).connect()
    stub = qmonitor.stub("query-name", reply={"return": {"name": "mocked"}})
    assert c.execute("query-name") == {"name": "mocked"}
    qmonitor.unstub(stub)
    assert c.execute("query-name") == {}


def test_the_emulator_is_called_as_it_should_be(qmonitor, client, tmp_path):
    qemu = qmonitor.as_qemu({"expect": [{"execute": "quit"}]})
    path = str(tmp_path / "qmp")
    command = [qemu, "-m", "512", "-device", "e1000", "-qmp", f"unix:{path},server=on,wait=off"]
    with subprocess.Popen([*command, "-daemonize"]) as vm:
        assert vm.wait() == 0
    assert qmonitor.option("-m") == "512"
    assert "e1000" in qmonitor.options("device")
    assert qmonitor.argv == [*command[1:], "-daemonize"]
    client(path).connect().execute("quit")
