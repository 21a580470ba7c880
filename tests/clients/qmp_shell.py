"""A person at qmp-shell, on a terminal: qmp_shell.py SOCKET.

Types what a person would, TAB included, and prints what the screen says.
"""

import json
import os
import pty
import re
import select
import sys

SHELL = os.path.join(os.path.dirname(sys.executable), "qmp-shell")
PROMPT = re.compile(rb"\(QEMU\) $")

LINES = [
    "query-ver\t",
    "no-such-command",
    "chardev-add id=ring backend={'type':'ringbuf','data':{'size':1024}}",
    "ringbuf-write device=ring data=hello",
    "ringbuf-read device=ring size=5",
    "ringbuf-read device=ring size=five",
    "ringbuf-read device=ring",
    'object-add {"qom-type":"iothread","id":"io0"}',
    "object-add qom-type=iothread id=io0",
    "object-del id=io0",
    "chardev-remove id=ring",
]


def wait_for_prompt(terminal):
    """Everything up to the next prompt."""
    screen = b""
    while not PROMPT.search(screen):
        ready, _, _ = select.select([terminal], [], [], 20)
        try:
            more = os.read(terminal, 4096) if ready else b""
        except OSError:
            more = b""
        if not more:
            sys.exit(f"no prompt after {screen!r}")
        screen += more
    return screen


def tidy(screen):
    text = screen.decode().replace("\r", "")
    # Terminals are told to mark what is pasted.
    text = re.sub(r"\x1b\[\?2004[hl]", "", text)
    return re.sub(r"^{.*}$", lambda reply: tidy_reply(reply[0]), text, flags=re.MULTILINE)


def tidy_reply(reply):
    """The order of members says nothing; QEMU's is that of a hash table. Each
    package has a version text of its own."""
    return re.sub(r'("package": )"[^"]*"', r'\1"..."', json.dumps(json.loads(reply), sort_keys=True))


def main(address):
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="dumb", HOME=os.environ["TMPDIR"])
        os.execv(SHELL, [SHELL, address])
    print(tidy(wait_for_prompt(terminal)), end="")
    for line in LINES:
        os.write(terminal, line.encode())
        if line.endswith("\t"):
            # The completion is drawn before the line is sent.
            screen = b""
            while b"query-version" not in screen:
                screen += os.read(terminal, 4096)
            print(tidy(screen), end="")
        os.write(terminal, b"\n")
        print(tidy(wait_for_prompt(terminal)), end="")
    # The end of input ends the shell.
    os.write(terminal, b"\x04")
    _, status = os.waitpid(child, 0)
    print(f"\nexit status {os.waitstatus_to_exitcode(status)}")


main(sys.argv[1])
