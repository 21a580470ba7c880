"""A session of labgrid's QMPMonitor, which talks to a program's standard
streams: labgrid_qmp.py PROGRAM ARGUMENTS..."""

import json
import subprocess
import sys

from labgrid.util.qmp import QMPError, QMPMonitor

SESSION = [
    ("query-chardev-backends", {}),
    ("chardev-add", {"id": "ring", "backend": {"type": "ringbuf", "data": {}}}),
    ("ringbuf-write", {"device": "ring", "data": "hello"}),
    ("ringbuf-read", {"device": "ring", "size": 10}),
    ("chardev-remove", {"id": "ring"}),
    ("object-add", {"qom-type": "throttle-group", "id": "t", "x-iops-total": 5}),
    ("qom-get", {"path": "/objects/t", "property": "x-iops-total"}),
    ("object-del", {"id": "t"}),
    ("query-jobs", {}),
]


def main():
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monitor = QMPMonitor(program.stdout, program.stdin)
    version = monitor.execute("query-version")["qemu"]
    print("version:", json.dumps(version, sort_keys=True))
    for command, arguments in SESSION:
        result = monitor.execute(command, arguments)
        if command == "query-chardev-backends":
            # Which there are depends on how a program was built.
            names = {backend["name"] for backend in result}
            result = sorted(names & {"null", "socket", "ringbuf", "stdio", "file", "mux"})
        print(f"{command}: {json.dumps(result, sort_keys=True)}")
    # An error's text is an object here, which its own class then refuses.
    try:
        monitor.execute("no-such-command")
    except (QMPError, TypeError) as error:
        print("error:", type(error).__name__)
    print("quit:", monitor.execute("quit"))
    print("exit status", program.wait(timeout=20))


main()
