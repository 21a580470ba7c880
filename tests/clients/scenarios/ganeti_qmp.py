"""ganeti's QmpConnection, from its Debian package: ganeti_qmp.py FOLDER SOCKET,
with the folder that has the package `ganeti`."""

import importlib.util
import json
import sys
from unittest import mock

folder, address = sys.argv[1:]
sys.path.insert(0, folder)
# The connection needs none of these.
for name in ("bitarray", "OpenSSL"):
    sys.modules.setdefault(name, mock.MagicMock())
# The package around this module would load the cluster's configuration.
spec = importlib.util.spec_from_file_location("monitor", f"{folder}/ganeti/hypervisor/hv_kvm/monitor.py")
monitor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(monitor)

# The mock's time runs fast: in 5 s, which is the limit, five minutes would pass.
monitor.MonitorSocket._SOCKET_TIMEOUT = 0.5


connection = monitor.QmpConnection(address)
try:
    connection.connect()
except Exception as e:
    print(json.dumps(["error", f"{type(e).__name__}: {e}"]), flush=True)
    sys.exit()
for command in ("query-status", "query-name", "quit"):
    try:
        print(json.dumps(["return", connection.Execute(command)]), flush=True)
    except Exception as e:
        print(json.dumps(["error", f"{type(e).__name__}: {e}"]), flush=True)
