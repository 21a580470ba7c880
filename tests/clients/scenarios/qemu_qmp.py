"""PyPI's qemu.qmp."""

import asyncio
import json
import sys

from qemu.qmp import QMPClient


async def main():
    client = QMPClient("scenario")
    try:
        await client.connect(sys.argv[1])
    except Exception as e:
        return print(json.dumps(["error", str(e)]), flush=True)
    for command in ("query-status", "query-name", "quit"):
        try:
            print(json.dumps(["return", await client.execute(command)]), flush=True)
        except Exception as e:
            print(json.dumps(["error", f"{type(e).__name__}: {e}"]), flush=True)


asyncio.run(main())
