#!/usr/bin/env python3
"""Records what QEMU answers to command lines and commands.

    answers.py FILE...      asks qemu-system-x86_64 of Debian's package (10.0.2) again

With QEMU in the environment naming its program, that of 11.1.3 is asked for answers/11.1.

A file has cases. The lines of a case begin with a mark and a blank:

    $ ARGUMENTS     the command line, after -display none -nodefaults -S -qmp stdio
    > COMMAND       a command of QMP as JSON, or a line of the human monitor
    ~ EVENT         waits for that event
    < REPLY         what came back, recorded: events, then the reply
    2 LINE          a line of standard error, recorded
    = STATUS        how the program ended, recorded; `quit` is sent last

What differs between two runs is left out: times, numbers of processes and threads. In
arguments and commands DIR is a folder that exists for one case. Lines that begin with # are
kept where they stand, between cases."""

import json
import os
import re
import subprocess
import sys
import tempfile

PROGRAM = os.environ.get("QEMU", "qemu-system-x86_64")


def still(value):
    """The value without what differs between two runs."""
    if isinstance(value, dict):
        # A thread on the host; in a processor's properties the name means another thing.
        is_thread = "cpu-index" in value or "poll-grow" in value
        moving = {"timestamp", "thread-id"} if is_thread else {"timestamp"}
        return {k: still(v) for k, v in value.items() if k not in moving}
    if isinstance(value, list):
        return [still(v) for v in value]
    return value


def text(value, folder):
    return json.dumps(still(value), sort_keys=True).replace(folder, "DIR")


def command(line):
    if line.startswith("{"):
        return json.loads(line)
    return {"execute": "human-monitor-command", "arguments": {"command-line": line}}


class Died(Exception):
    pass


def read(process):
    while True:
        line = process.stdout.readline()
        if not line:
            raise Died
        try:
            return json.loads(line)
        except ValueError:
            continue


def play(args, steps):
    """The lines of a case, with what was recorded."""
    lines = ["$ " + args]
    with tempfile.TemporaryDirectory() as folder:
        words = args.replace("DIR", folder).split()
        process = subprocess.Popen(
            ["timeout", "20", PROGRAM, "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"]
            + words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def send(step):
            process.stdin.write(json.dumps(step) + "\n")
            process.stdin.flush()

        seen = []
        try:
            read(process)
            send({"execute": "qmp_capabilities"})
            read(process)
            for mark, step in steps:
                lines.append(f"{mark} {step}")
                if mark == "~":
                    while step not in seen:
                        event = read(process)
                        seen.append(event["event"])
                        lines.append("< " + text(event, folder))
                    seen.remove(step)
                    continue
                send(command(step.replace("DIR", folder)))
                while True:
                    reply = read(process)
                    lines.append("< " + text(reply, folder))
                    if "event" not in reply:
                        break
                    seen.append(reply["event"])
            send({"execute": "quit"})
        except (Died, BrokenPipeError):
            given = sum(line[0] in ">~" for line in lines)
            lines += [f"{mark} {step}" for mark, step in steps[given:]]
        _, errors = process.communicate()
        errors = re.sub(re.escape(folder), "DIR", errors)
        lines += ["2 " + line for line in errors.splitlines()]
        lines.append(f"= {process.returncode}")
    return lines


def cases(lines):
    """Comments and cases: a string, or arguments and steps."""
    current = None
    for line in lines:
        mark, _, rest = line.partition(" ")
        if mark == "$":
            current = (rest, [])
            yield current
        elif mark in (">", "~"):
            current[1].append((mark, rest))
        elif mark not in ("<", "2", "="):
            yield line


def main():
    for path in sys.argv[1:]:
        with open(path) as file:
            asked = list(cases(file.read().splitlines()))
        out = []
        for case in asked:
            out += [case] if isinstance(case, str) else play(*case)
        with open(path, "w") as file:
            file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
