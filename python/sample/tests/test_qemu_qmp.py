"""The client of QEMU's own project against a mock."""

import asyncio

import pytest

qmp = pytest.importorskip("qemu.qmp")


def run(session):
    """Plays a session with a limit, which a hanging one runs into."""
    return asyncio.run(asyncio.wait_for(session, 20))


async def connected(path):
    client = qmp.QMPClient("sample")
    await client.connect(path)
    return client


@pytest.mark.qmonitor(faults=[None, "chop", "coalesce"], profiles=["10.0", "11.1"])
def test_a_session(qmonitor):
    async def session():
        client = await connected(qmonitor.socket)
        try:
            assert (await client.execute("query-status"))["running"]
        finally:
            await client.disconnect()

    run(session())
    qmonitor.wait_disconnected()
    assert qmonitor.requests[-1].execute == "query-status"
    assert qmonitor.lint() == []


@pytest.mark.qmonitor(faults=["early-event", "storm"])
@pytest.mark.xfail(raises=qmp.ConnectError, strict=True, reason="its negotiation takes an event for an answer")
def test_events_during_the_negotiation(qmonitor):
    run(connected(qmonitor.socket))


def test_an_event_that_a_test_sends(qmonitor):
    async def session():
        client = await connected(qmonitor.socket)
        with client.listener("DEVICE_DELETED") as listener:
            path = "/machine/peripheral/d0"
            await asyncio.to_thread(qmonitor.emit, "DEVICE_DELETED", device="d0", path=path)
            event = await listener.get()
        await client.disconnect()
        return event

    assert run(session())["data"]["device"] == "d0"


def test_an_error_that_a_stub_says(qmonitor):
    error = {"class": "DeviceNotFound", "desc": "Device 'd9' not found"}
    qmonitor.load({"base": "strict", "stubs": [{"when": {"execute": "device_del"}, "reply": {"error": error}}]})

    async def session():
        client = await connected(qmonitor.socket)
        with pytest.raises(qmp.ExecuteError, match="d9"):
            await client.execute("device_del", {"id": "d9"})
        await client.disconnect()

    run(session())


def test_a_connection_that_is_lost_in_a_reply(qmonitor):
    die = {"at": "reply", "of": "query-status", "do": [{"send": "half"}, "close"]}
    qmonitor.load({"faults": {"die": die}})

    async def session():
        client = await connected(qmonitor.socket)
        with pytest.raises(qmp.ExecInterruptedError):
            await client.execute("query-status")
        with pytest.raises(Exception):
            await client.disconnect()

    run(session())
