#!/usr/bin/env python3
"""Records what devices look like in QEMU once they are made.

    tests/record/shapes.py DIRECTORY

writes shapes.txt, lines.txt and pci.txt, which live in crates/machine/src/facts, where README.md
describes them. Each type is made with the least that it needs, on a board and a bus that
take it; types that need something of the host are left out. The tables there were recorded
from the QEMU that tables.py names.
"""

import os
import re
import sys
import tempfile

from tables import Qmp, ranges

# What types need besides their buses, and the options that provide it.
BACKENDS = {
    "drive": ("d{n}", ["-blockdev", "null-co,node-name=d{n},size=1048576"]),
    "chardev": ("c{n}", ["-chardev", "null,id=c{n}"]),
    "audiodev": ("a{n}", ["-audiodev", "none,id=a{n}"]),
    "fsdev": ("f{n}", ["-fsdev", "local,id=f{n},path=/tmp,security_model=none"]),
    "cryptodev": ("k{n}", ["-object", "cryptodev-backend-builtin,id=k{n}"]),
    "memdev": ("m{n}", ["-object", "memory-backend-ram,id=m{n},size=16M"]),
}
NEEDS = {
    "pci-bridge": "chassis_nr=7", "pci-bridge-seat": "chassis_nr=8", "nvme": "serial=s",
    "virtio-9p-pci": "mount_tag=t", "virtio-9p-pci-transitional": "mount_tag=t",
    "virtio-9p-pci-non-transitional": "mount_tag=t", "usb-mtp": "rootdir=/tmp",
    "pxb": "bus_nr=10", "pxb-pcie": "bus_nr=20", "ipmi-bmc-extern": "", "sd-card": "",
}
# The buses that devices of these types go on, and the options that make them.
PROVIDERS = {
    "usb-bus": ["-device", "qemu-xhci,p2=15,p3=15"],
    "SCSI": ["-device", "virtio-scsi-pci"],
    "virtio-serial-bus": ["-device", "virtio-serial-pci"],
    "HDA": ["-device", "intel-hda"],
    "ccid-bus": ["-device", "usb-ehci", "-device", "qemu-xhci", "-device", "usb-ccid"],
    "sd-bus": ["-device", "sdhci-pci"],
    "nvme-bus": ["-device", "nvme,serial=s"],
    "floppy-bus": ["-device", "isa-fdc"],
    "PCI": [], "ISA": [], "IDE": [], "i2c-bus": [], "System": [], "": [],
}
BOARDS = {"pc": "pc", "q35": "q35", "microvm": "microvm"}
# Whole boards, of which the devices that users cannot plug are taken.
WHOLE = [["-M", "pc"], ["-M", "q35"], ["-M", "microvm"], ["-M", "isapc"], ["-M", "none"],
         ["-M", "q35", "-usb"], ["-M", "pc", "-usb"], ["-M", "pc", "-m", "64,slots=2,maxmem=128M"]]

# What needs something of the host.
OF_HOST = ("vhost-", "vfio-", "xen", "tpm-", "ipmi-", "cxl-", "x-", "igd-", "ivshmem-doorbell", "usb-redir", "u2f-", "ccid-card-emulated")
# What has other parts on each machine.
NOT_TYPICAL = ("container", "-machine", "-x86_64-cpu", "-ram", "-file", "-memfd")


class Refused(Exception):
    """QEMU's words about options that it does not take."""


class Once(Qmp):
    """A QEMU that may refuse its options."""

    def start(self):
        if self.process:
            self.process.wait()
            self.errors.seek(0)
            raise Refused(self.errors.read())
        self.errors = tempfile.TemporaryFile("w+")
        self.start_with(self.errors)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.file.close()
        self.socket.close()
        self.errors.close()


def main():
    directory = sys.argv[1]
    shapes, pci = {}, {}
    for arguments in WHOLE:
        whole(arguments, shapes, pci)
    types = read_types(directory)
    plugged = [name for name, (flags, *_) in types.items() if "p" in flags
               and not name.startswith(OF_HOST) and not name.endswith("-x86_64-cpu")]
    for board in BOARDS:
        left = [name for name in plugged if name not in shapes]
        in_groups(board, left, types, (shapes, pci), 12)
    write(directory, shapes)
    write_pci(directory, pci)
    missing = [name for name in plugged if name not in shapes]
    print(f"{len(shapes)} types; without: {' '.join(missing)}", file=sys.stderr)


def read_types(directory):
    properties = open(os.path.join(directory, "properties.txt")).read().splitlines()
    types, own = {}, {}
    for line in open(os.path.join(directory, "types.txt")).read().splitlines():
        name, parent, flags, _, bus, *_, words = line.split("\t")
        own[name] = words
        types[name] = (flags, bus, parent)

    def names(name):
        words = own[name]
        if words.startswith("="):
            words = own[words[1:]]
        for word in words.split():
            first, _, last = word.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield properties[number].split("\t")[0]

    def all_names(name):
        found = set()
        while name in types:
            found |= set(names(name))
            name = types[name][2]
        return found

    return {n: (flags, bus, all_names(n)) for n, (flags, bus, _) in types.items()}


def in_groups(board, names, types, tables, size):
    """Makes devices in groups."""
    by_bus = {}
    for name in names:
        by_bus.setdefault(types[name][1], []).append(name)
    for bus, group in by_bus.items():
        if bus in PROVIDERS:
            for at in range(0, len(group), size):
                made(board, bus, group[at:at + size], types, tables)


def made(board, bus, names, types, tables):
    """Makes devices; those that QEMU refuses are left out."""
    if not names:
        return
    options = ["-M", BOARDS[board], *PROVIDERS[bus]]
    for n, name in enumerate(names):
        device = f"{name},id=x{n}"
        for backend, (value, words) in BACKENDS.items():
            if backend in types[name][2] and not (name, backend) == ("nvme", "drive"):
                device += f",{backend}={value.format(n=n)}"
                options += [word.format(n=n) for word in words]
        if NEEDS.get(name):
            device += "," + NEEDS[name]
        options += ["-device", device]
    try:
        qmp = Once(*options)
    except Refused as refused:
        wrong = re.search(r"-device [^:]*,id=x(\d+)", str(refused))
        at = int(wrong[1]) if wrong else 0
        made(board, bus, names[:at] + names[at + 1:], types, tables)
        return
    collect(qmp, *tables)
    qmp.end()


def whole(arguments, shapes, pci):
    qmp = Once(*arguments)
    collect(qmp, shapes, pci)
    machine = arguments[1].split(",")[0]
    for name, parts in tree(qmp.hmp("info qom-tree /machine/unattached"))[:1]:
        shapes.setdefault(f"unattached-{machine}", ([], parts))
    qmp.end()


def collect(qmp, shapes, pci):
    """Adds the types of all devices that are there and not known yet."""
    found = {}
    functions = {(d["slot"], d["function"]): d for bus in qmp.ask("query-pci") or []
                 for d in bus["devices"] if d["bus"] == 0}
    for name, lines in list(blocks(qmp.hmp("info qtree"))):
        found.setdefault(name, lines)
        # The first bus is told first; what is behind others has other lines in its way.
        for line in lines:
            place = re.search(r"^class .*, addr 00:(\w\w)\.(\d), pci id (\w+):(\w+)", line)
            function = place and functions.get((int(place[1], 16), int(place[2])))
            if function and function["id"]["device"] == int(place[4], 16):
                pci.setdefault(name, function)
    for name, parts in tree(qmp.hmp("info qom-tree")):
        if name in found and name not in shapes:
            shapes[name] = (found[name], parts)
        elif parts and not name.endswith(NOT_TYPICAL) or name == "qemu64-x86_64-cpu":
            shapes.setdefault(name, ([], parts))


def blocks(page):
    """Each device of `info qtree` with its lines."""
    block = None
    for line in page.splitlines():
        text = line.strip()
        if text.startswith(("dev: ", "bus: ")):
            block = None
        if text.startswith("dev: "):
            block = []
            yield text[5:].split(",")[0], block
        elif block is not None:
            block.append(text)


def tree(page):
    """Each object of `info qom-tree` with the parts that are no devices or buses."""
    stack = []
    found = []
    for line in page.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, class_name = re.match(r"\s*/?(.*) \((.*)\)$", line).groups()
        parts = []
        del stack[depth:]
        if class_name in ("memory-region", "irq") and stack:
            stack[-1].append(f"{name}\t{class_name}")
        stack.append(parts)
        found.append((class_name, parts))
    return found


def write(directory, shapes):
    """Lines get numbers in the order in which types use them first."""
    lines = {}
    out = []
    for name in sorted(shapes):
        page, parts = shapes[name]
        for line in page + parts:
            lines.setdefault(line, len(lines))
        words = [ranges(lines[line] for line in group) for group in (page, parts)]
        out.append("\t".join([name, *words]))
    with open(os.path.join(directory, "lines.txt"), "w") as file:
        file.writelines(line + "\n" for line in lines)
    with open(os.path.join(directory, "shapes.txt"), "w") as file:
        file.writelines(line + "\n" for line in out)


def pci_line(name, function):
    """What a function on PCI says of itself; numbers are hexadecimal."""
    info, identity = function["class_info"], function["id"]
    kinds = {(False, False): "m", (True, False): "p", (False, True): "M", (True, True): "P"}
    regions = []
    for region in function["regions"]:
        kind = kinds[region["prefetch"], region["mem_type_64"]] if "prefetch" in region else "i"
        regions.append(f"{region['bar']}{kind}{region['size']:x}")
    bridge = function.get("pci_bridge", {}).get("bus")
    ranges = ["io_range", "memory_range", "prefetchable_range"]
    bases = " ".join(f"{bridge[r]['base']:x}" for r in ranges) if bridge else ""
    ids = [f"{identity[key]:x}" if key in identity else ""
           for key in ("vendor", "device", "subsystem-vendor", "subsystem")]
    return "\t".join([name, f"{info['class']:x}", info.get("desc", ""), *ids,
                      str(function["irq_pin"]), " ".join(regions), bases])


def write_pci(directory, pci):
    with open(os.path.join(directory, "pci.txt"), "w") as file:
        file.writelines(pci_line(name, pci[name]) + "\n" for name in sorted(pci))


if __name__ == "__main__":
    main()
