"""A session of PyPI's qemu.qmp: qemu_qmp.py SOCKET. Prints what it was told."""

import asyncio
import json
import os
import sys

from qemu.qmp import ExecuteError, QMPClient

FULL = bool(os.environ.get("FULL"))


def say(step, value):
    print(f"{step}: {json.dumps(value, sort_keys=True)}")


async def tell(qmp, command, arguments=None):
    """Executes a command and prints what came of it."""
    try:
        result = await qmp.execute(command, arguments)
        say(command, result)
        return result
    except ExecuteError as error:
        say(command, [error.error_class, str(error)])
        return None


async def queries(qmp):
    version = await qmp.execute("query-version")
    say("version", version["qemu"])
    names = {command["name"] for command in await qmp.execute("query-commands")}
    wanted = ["chardev-add", "object-add", "qom-list", "query-version", "quit"]
    say("commands", [name for name in wanted if name in names])
    schema = await qmp.execute("query-qmp-schema")
    kinds = {entity["meta-type"] for entity in schema}
    say("schema", sorted(kinds))


async def errors(qmp):
    await tell(qmp, "no-such-command")
    await tell(qmp, "query-version", {"verbose": True})
    await tell(qmp, "chardev-add", {"id": "x"})
    await tell(qmp, "chardev-add", {"id": "x", "backend": {"type": "bogus"}})
    await tell(qmp, "chardev-add", {"id": 5, "backend": {"type": "null"}})
    await tell(qmp, "qom-list", {"path": "/nowhere"})
    await tell(qmp, "object-add", {"qom-type": "bogus", "id": "o"})
    await tell(qmp, "object-del", {"id": "nobody"})
    # Past the library: requests that are none, each with its own answer.
    for request in [{}, {"execute": 1}, {"execute": "x", "arguments": []}]:
        reply = await qmp._raw({**request, "id": "mine"}, assign_id=False)
        say("raw", reply)


async def chardevs(qmp):
    ringbuf = {"type": "ringbuf", "data": {"size": 65536}}
    await tell(qmp, "chardev-add", {"id": "ring", "backend": ringbuf})
    await tell(qmp, "chardev-add", {"id": "ring", "backend": {"type": "null", "data": {}}})
    listed = await qmp.execute("query-chardev")
    # The order is that of a hash table of addresses in QEMU.
    for chardev in sorted(listed, key=lambda chardev: chardev["label"]):
        # `filename` of the monitor's own chardev has the socket's name.
        say("chardev", {k: v for k, v in chardev.items() if chardev["label"] == "ring" or k != "filename"})
    text = "a\u00e9\u65e5\U0001f600 \"quoted\"\\\r\n"
    await tell(qmp, "ringbuf-write", {"device": "ring", "data": text})
    await tell(qmp, "ringbuf-read", {"device": "ring", "size": 100})
    await tell(qmp, "ringbuf-write", {"device": "ring", "data": "AAECAw==", "format": "base64"})
    await tell(qmp, "ringbuf-read", {"device": "ring", "size": 4, "format": "base64"})
    await tell(qmp, "ringbuf-write", {"device": "ring", "data": "x" * 60000})
    text = await qmp.execute("ringbuf-read", {"device": "ring", "size": 65536})
    say("read back", len(text))


async def objects(qmp):
    await tell(qmp, "object-add", {"qom-type": "iothread", "id": "io0", "poll-max-ns": 7})
    await tell(qmp, "object-add", {"qom-type": "iothread", "id": "io0"})
    await tell(qmp, "object-add", {"qom-type": "iothread", "id": "io1", "poll-max-ns": "x"})
    await tell(qmp, "qom-list", {"path": "/objects"})
    await tell(qmp, "qom-get", {"path": "/objects/io0", "property": "poll-max-ns"})
    await tell(qmp, "object-del", {"id": "io0"})


async def at_once(qmp):
    """Requests under way together, each given its own answer."""
    calls = [
        qmp.execute("ringbuf-write", {"device": "ring", "data": f"{n} "}) for n in range(50)
    ]
    calls.append(qmp.execute("no-such-command"))
    done = await asyncio.gather(*calls, return_exceptions=True)
    say("at once", [str(d) if isinstance(d, Exception) else d for d in done])
    await tell(qmp, "ringbuf-read", {"device": "ring", "size": 1000})


async def machine(qmp):
    """What only a machine has: events, descriptors, the human monitor."""
    with qmp.listener(("STOP", "RESUME")) as listener:
        await qmp.execute("stop")
        await qmp.execute("cont")
        for _ in range(2):
            event = await listener.get()
            say("event", {k: v for k, v in event.items() if k != "timestamp"})
            say("its timestamp", sorted(event["timestamp"]))
    await tell(qmp, "query-status")
    read, write = os.pipe()
    qmp.send_fd_scm(read)
    await tell(qmp, "getfd", {"fdname": "pipe"})
    await tell(qmp, "getfd", {"fdname": "pipe"})
    await tell(qmp, "closefd", {"fdname": "pipe"})
    await tell(qmp, "closefd", {"fdname": "pipe"})
    qmp.send_fd_scm(write)
    added = await qmp.execute("add-fd", {"fdset-id": 7, "opaque": "a pipe"})
    say("add-fd", {**added, "fd": "some"})
    sets = await qmp.execute("query-fdsets")
    say("fdsets", [[s["fdset-id"], [fd["opaque"] for fd in s["fds"]]] for s in sets])
    await tell(qmp, "remove-fd", {"fdset-id": 7})
    await tell(qmp, "remove-fd", {"fdset-id": 8})
    os.close(read)
    os.close(write)
    await tell(qmp, "human-monitor-command", {"command-line": "info status"})


async def main(address):
    qmp = QMPClient("session")
    await qmp.connect(address)
    say("greeting", [qmp.greeting.QMP.version["qemu"], qmp.greeting.QMP.capabilities])
    await queries(qmp)
    await errors(qmp)
    await chardevs(qmp)
    await objects(qmp)
    await at_once(qmp)
    if FULL:
        await machine(qmp)
    await qmp.disconnect()
    # What a client made is there for the next one.
    await qmp.connect(address)
    await tell(qmp, "chardev-send-break", {"id": "ring"})
    await tell(qmp, "chardev-remove", {"id": "ring"})
    await tell(qmp, "chardev-remove", {"id": "ring"})
    await tell(qmp, "quit")
    await qmp.disconnect()


asyncio.run(main(sys.argv[1]))
