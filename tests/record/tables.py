#!/usr/bin/env python3
"""Records what QEMU tells of its types, machines and processors.

    tests/record/tables.py DIRECTORY [OLDER]

writes the tables that the machine reads; they live in crates/machine/src/facts, where
README.md describes them. The tables there were recorded from QEMU 10.0.2 with the Debian
packages qemu-system-x86, qemu-system-common (which has the modules) and qemu-system-data,
1:10.0.2+ds-2+deb13u1~bpo12+1 of bookworm-backports. Packages with further modules
(qemu-system-gui, qemu-system-modules-spice, qemu-system-modules-opengl) add types.

With OLDER, the directory of another version's tables, only what differs from them is
written. Those in crates/machine/src/facts/11.1 are from 11.1.3 (Debian, 1:11.1.3+ds-1),
with QEMU in the environment naming its program.
"""

import json
import os
import re
import socket
import subprocess
import sys

QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
# What the facts about a processor are, before its features.
IDENTITY = ["vendor", "family", "model", "stepping", "level", "xlevel", "model-id"]


class Qmp:
    """A QEMU that is stopped; started again when a question kills it."""

    def __init__(self, *arguments):
        self.process = None
        self.arguments = arguments
        self.start()

    def start(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.file.close()
            self.socket.close()
        self.start_with(subprocess.DEVNULL)

    def start_with(self, stderr):
        self.socket, other = socket.socketpair()
        arguments = [QEMU, *self.arguments, "-S", "-nodefaults", "-display", "none"]
        arguments += ["-chardev", f"socket,id=m,fd={other.fileno()}", "-mon", "m,mode=control"]
        self.process = subprocess.Popen(
            arguments, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL,
            stderr=stderr)
        other.close()
        self.socket.settimeout(60)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """The reply, or None if there is an error or QEMU died."""
        return self.send(command, {n.replace("_", "-"): value for n, value in arguments.items()})

    def send(self, command, arguments):
        try:
            self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.file.flush()
            reply = self.file.readline()
        except OSError:
            reply = ""
        if not reply:
            self.start()
            return None
        self.reply = json.loads(reply)
        return self.reply.get("return")

    def hmp(self, line):
        return self.ask("human-monitor-command", command_line=line)


def ranges(numbers):
    """`3-5 9` for 3, 4, 5, 9, in their order."""
    numbers = list(numbers)
    words = []
    while numbers:
        first = last = numbers.pop(0)
        while numbers and numbers[0] == last + 1:
            last = numbers.pop(0)
        words.append(str(first) if first == last else f"{first}-{last}")
    return " ".join(words)


def property_line(prop):
    default = json.dumps(prop["default-value"]) if "default-value" in prop else ""
    fields = [prop["name"], prop["type"], default, prop.get("description", "")]
    return "\t".join(fields)


def record_devices(qmp):
    """Category, bus, alias and description of the devices in `-device help`."""
    devices = {}
    title = ""
    for line in qmp.hmp("info qdm").splitlines():
        if line.endswith(" devices:"):
            title = line[: -len(" devices:")]
        elif line:
            values = dict(re.findall(r'(\w+) "((?:[^"\\]|\\.)*)"', line))
            bus = re.search(r", bus ([^,]+)", line)
            fact = devices.setdefault(values["name"], {
                "bus": bus[1] if bus else "", "alias": values.get("alias", ""),
                "desc": values.get("desc", ""), "titles": [],
                "hidden": line.endswith(", no-user")})
            fact["titles"].append(title)
    return devices


def record_fixed(devices):
    """The devices that cannot be plugged while the machine runs."""
    buses = ["virtio-serial-pci", "virtio-scsi-pci", "qemu-xhci", "intel-hda", "sdhci-pci"]
    arguments = [word for bus in buses for word in ("-device", bus)]
    # Each board takes other devices on its main bus.
    return {name for machine in ("pc", "q35")
            for name in fixed_on(Qmp("-machine", machine, *arguments), devices)}


def fixed_on(qmp, devices):
    fixed = set()
    for name in sorted(devices):
        # It is told before properties are looked at, so nothing is plugged.
        qmp.reply = {}
        qmp.ask("device_add", driver=name, id="x", no_such_property=0)
        if qmp.reply.get("error", {}).get("desc") == f"Device '{name}' does not support hotplugging":
            fixed.add(name)
    qmp.process.kill()
    qmp.process.wait()
    return fixed


def steps_of(names):
    """How often each name was moved on when it was put into QEMU's table of types.

    QEMU lists types in the order of a hash table of 1024 places, from the last to the first.
    A name that finds its place taken tries 1, 3, 6, 10 ... places further on. The least
    numbers that explain the order of the names are returned.
    """
    ways = [[0] * 1025]
    chosen = []
    for name in names:
        value = 5381
        for byte in name.encode():
            value = (value * 33 + byte) & 0xFFFFFFFF
        first = (value * 11 & 0xFFFFFFFF) % 1021
        cost, choice = [float("inf")] * 1025, {}
        for steps in range(45):
            place = first + steps * (steps + 1) // 2 & 1023
            if ways[-1][place + 1] + steps < cost[place]:
                cost[place], choice[place] = ways[-1][place + 1] + steps, steps
        chosen.append((choice, list(cost)))
        for place in range(1023, -1, -1):
            cost[place] = min(cost[place], cost[place + 1])
        ways.append(cost)
    least = 0
    steps = {}
    for name, (choice, cost) in reversed(list(zip(names, chosen))):
        place = min((c, p) for p, c in enumerate(cost) if p >= least)[1]
        steps[name] = choice[place]
        least = place + 1
    return steps


def order_lines(names):
    """A line for each number of steps above none, with the names that took so many."""
    steps = steps_of(names)
    numbers = sorted({steps[name] for name in names} - {0})
    return [" ".join([str(n), *sorted(t for t in names if steps[t] == n)]) for n in numbers]


def record_types(qmp, known):
    types = {t["name"]: t for t in qmp.ask("qom-list-types", abstract=True)}
    listings = {name: qmp.ask("qom-list-properties", typename=name) for name in types}
    children = {}
    for name, fact in types.items():
        children.setdefault(fact.get("parent"), []).append(name)
    interfaces = {name for name in types if "interface" in ancestry(types, name)} - {"interface"}
    implemented = {name: set() for name in types}
    for interface in interfaces:
        for fact in qmp.ask("qom-list-types", implements=interface, abstract=True):
            implemented[fact["name"]].add(interface)
    devices = record_devices(qmp)
    fixed = record_fixed(devices)
    own = {}
    alone = {}
    for name, fact in types.items():
        inherited = lines_of(listings.get(fact.get("parent")))
        lines = lines_of(listings[name])
        own[name] = [line for line in lines if line not in inherited]
        # A few types have lost what they should inherit, or have it in another order.
        alone[name] = lines not in ([], inherited + own[name])
        if alone[name]:
            own[name] = lines
    properties = sorted({line for lines in own.values() for line in lines} - set(known))
    # Properties that the same types have get numbers in a row.
    users = {line: [] for line in known + properties}
    for name in sorted(own):
        for line in own[name]:
            users[line].append(name)
    # Properties of one type stand in the order of its list.
    place = {line: own[users[line][0]].index(line) for line in properties}
    properties.sort(key=lambda line: (users[line], place[line]))
    number = {line: at for at, line in enumerate(known + properties)}
    seen = {}
    lines = []
    for name in sorted(types):
        fact = types[name]
        device = devices.get(name, {})
        up = implemented.get(fact.get("parent"), set())
        flags = "a" if fact.get("abstract") else ""
        flags += "p" if device and not device["hidden"] else ""
        flags += "f" if name in fixed else ""
        flags += "o" if alone[name] else ""
        flags += "x" if listings[name] is None else ""
        words = ranges(number[line] for line in own[name])
        numbers = seen.get(words, words) if len(words) > 8 else words
        seen.setdefault(words, "=" + name)
        lines.append("\t".join([
            name, fact.get("parent", ""), flags, " ".join(sorted(implemented[name] - up)),
            device.get("bus", ""), device.get("alias", ""), device.get("desc", ""),
            "|".join(device.get("titles", [])), numbers]))
    return properties, lines, order_lines(list(types))


def lines_of(listing):
    return [property_line(prop) for prop in listing or []]


def ancestry(types, name):
    while name:
        yield name
        name = types.get(name, {}).get("parent")


def record_machines(qmp):
    """Machines in the order of their list; what a version changes is told once."""
    help_text = subprocess.run([QEMU, "-machine", "help"], capture_output=True, text=True).stdout
    about = dict(re.findall(r"^(\S+) +(.*)$", help_text, re.M))
    blocks = {}
    before = {}
    for machine in sorted(qmp.ask("query-machines", compat_props=True), key=version_key):
        family = machine["name"].rsplit("-", 1)[0]
        compat = [" ".join([c["qom-type"], c["property"], json.dumps(c["value"])])
                  for c in machine.get("compat-props", [])]
        newer, newer_name = before.get(family, ([], ""))
        head, tail = common(compat, newer)
        flags = "".join(letter for letter, key in [
            ("d", "is-default"), ("h", "hotpluggable-cpus"), ("n", "numa-mem-supported"),
            ("o", "deprecated"), ("a", "acpi")] if machine.get(key))
        text = re.sub(r" \((alias of .*|default|deprecated)\)", "", about.get(machine["name"], ""))
        block = blocks.setdefault(machine["name"], [])
        block.append("\t".join([
            machine["name"], machine.get("alias", ""), str(machine["cpu-max"]), flags,
            machine.get("default-cpu-type", ""), machine.get("default-ram-id", ""), text,
            f"{newer_name} {head} {tail}"]))
        block += ["\t" + c for c in compat[head:len(compat) - tail]]
        before[family] = (compat, machine["name"])
    return [line for name in about if name in blocks for line in blocks[name]]


def version_key(machine):
    family, _, version = machine["name"].rpartition("-")
    numbers = [-int(n) for n in re.findall(r"\d+", version)]
    return (family or machine["name"], numbers)


def common(now, before):
    """How many items both have at the beginning, and then at the end."""
    head = 0
    while head < min(len(now), len(before)) and now[head] == before[head]:
        head += 1
    tail = 0
    while tail < min(len(now), len(before)) - head and now[-1 - tail] == before[-1 - tail]:
        tail += 1
    return head, tail


def record_processors(qmp):
    """The names of all features, then models with their features, each as changes to the
    most similar one before."""
    help_text = subprocess.run([QEMU, "-cpu", "help"], capture_output=True, text=True).stdout
    listed, flags = help_text.split("Recognized CPUID flags:\n")
    about = dict(re.findall(r"^  (\S+) *(.*)$", listed, re.M))
    words = set(flags.split())
    models = {}
    lines = [" ".join(flags.split())]
    for model in sorted(qmp.ask("query-cpu-definitions"), key=lambda m: m["name"]):
        name = model["name"]
        # The host's own processor is another one on each host.
        reply = None if name == "host" else qmp.ask(
            "query-cpu-model-expansion", type="full", model={"name": name})
        props = reply["model"]["props"] if reply else {}
        missing = model["unavailable-features"]
        features = {f for f, on in props.items() if on is True and f in words} | set(missing)
        base = min(models, key=lambda m: len(models[m] ^ features), default="")
        if not base or len(models[base] ^ features) >= len(features):
            base, changes = "", [f"+{f}" for f in sorted(features)]
        else:
            changes = [f"+{f}" for f in sorted(features - models[base])]
            changes += [f"-{f}" for f in sorted(models[base] - features)]
        models[name] = features
        flags = "".join(letter for letter, key in [
            ("s", "static"), ("m", "migration-safe"), ("d", "deprecated")] if model[key])
        identity = [str(props.get(field, "")) for field in IDENTITY]
        lines.append("\t".join([
            name, model.get("alias-of", ""), about[name], flags, *identity, base, " ".join(changes),
            " ".join(missing)]))
    return lines


def record_features(names):
    """The words that have features, then each feature with its word, its bit and whether
    the emulator lacks it; of several names of a bit the first is the one that warnings use."""
    flags = subprocess.run([QEMU, "-cpu", "help"], capture_output=True, text=True).stdout
    main_names = set(flags.split("Recognized CPUID flags:\n")[1].split())
    words, bits = plug_features("base", names, main_names)
    # Some features can be had only together with others, which `max` has.
    lacking = {name for name, (_, _, filtered) in bits.items() if filtered}
    _, lacking = plug_features("max", sorted(lacking), set())
    found = sorted((number, bit, name not in main_names, name)
                   for name, (number, bit, _) in bits.items())
    lines = ["\t".join(str(part) for part in word) for word in words]
    return [*lines, "", *("\t".join([name, str(number), str(bit), "m" if name in lacking else ""])
                         for number, bit, _, name in found)]


def plug_features(model, names, listed):
    """The words, and by name the word and bit that a feature sets, and whether it is filtered
    out. On `max` only what is filtered out is seen. QEMU may die of a feature; if it is
    listed, it can be there from the start."""
    words = []
    bits = {}
    places = 250
    for first in range(0, len(names), places):
        qmp = Qmp("-machine", "q35", "-cpu", model, "-smp", "1,sockets=255,maxcpus=255")
        for socket, name in enumerate(names[first:first + places], 1):
            place = {"socket-id": socket, "core-id": 0, "thread-id": 0, "id": f"c{socket}"}
            options = {"driver": f"{model}-x86_64-cpu", **place, name: True}
            # The name is asked for as it is, with underscores.
            if qmp.send("device_add", options) is not None:
                words = read_features(qmp, f"/machine/peripheral/c{socket}", name, bits) or words
                continue
            if "error" in qmp.reply or name not in listed:
                continue
            alone = Qmp("-machine", "q35", "-cpu", f"{model},{name}=on")
            read_features(alone, "/machine/unattached/device[0]", name, bits)
            alone.process.kill()
            alone.process.wait()
        qmp.process.kill()
        qmp.process.wait()
    return words, {name: found[0] for name, found in bits.items() if len(found) == 1}


def read_features(qmp, path, name, bits):
    """Notes which bits a processor has."""
    words = []
    for kind in ["filtered-features", "feature-words"]:
        listed = qmp.ask("qom-get", path=path, property=kind) or []
        words = [[word["cpuid-input-eax"], word.get("cpuid-input-ecx", ""),
                  word["cpuid-register"]] for word in listed]
        for number, word in enumerate(listed):
            mask = word["features"]
            # A processor of the model `max` has many.
            if mask and mask & (mask - 1) == 0:
                bits.setdefault(name, []).append(
                    (number, mask.bit_length() - 1, kind == "filtered-features"))
        if kind == "filtered-features" and name in bits:
            break
    return words


def write(directory, name, lines):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def read(directory, name):
    if directory is None:
        return []
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return file.read().splitlines()


def difference(lines, older):
    """The lines that are new or changed, behind `-NAME` for those that are gone."""
    names = {line.split("\t")[0] for line in lines}
    gone = [line.split("\t")[0] for line in older]
    kept = set(older)
    return ["-" + name for name in gone if name not in names] + [l for l in lines if l not in kept]


def main():
    directory, older = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    qmp = Qmp("-machine", "none")
    properties, types, order = record_types(qmp, read(older, "properties.txt"))
    write(directory, "order.txt", order)
    write(directory, "properties.txt", properties)
    write(directory, "types.txt", difference(types, read(older, "types.txt")))
    write(directory, "machines.txt", record_machines(qmp))
    features, *models = record_processors(qmp)
    models = difference(models, read(older, "processors.txt")[1:])
    write(directory, "processors.txt", [features, *models])
    features = [p["name"] for p in qmp.ask("qom-list-properties", typename="base-x86_64-cpu")
                if p["type"] == "bool"]
    write(directory, "features.txt", record_features(sorted(features)))
    qmp.process.kill()
    qmp.process.wait()


if __name__ == "__main__":
    main()
