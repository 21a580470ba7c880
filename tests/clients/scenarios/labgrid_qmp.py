"""labgrid's QMPMonitor, which takes two streams."""

import json
import socket
import sys

from labgrid.util.qmp import QMPMonitor

stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
try:
    monitor = QMPMonitor(monitor_out=stream.makefile("rb"), monitor_in=stream.makefile("wb", 0))
except Exception as e:
    print(json.dumps(["error", f"{type(e).__name__}: {e}"]), flush=True)
    sys.exit()
for command in ("query-status", "query-name", "quit"):
    try:
        print(json.dumps(["return", monitor.execute(command)]), flush=True)
    except Exception as e:
        print(json.dumps(["error", f"{type(e).__name__}: {e}"]), flush=True)
