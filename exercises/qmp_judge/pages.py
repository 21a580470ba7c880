"""The stages and their cases, read from the pages."""

import pathlib
import re

from .outcome import CannotJudge

STAGES = pathlib.Path(__file__).resolve().parent.parent / "stages"


class Case:
    def __init__(self, name, mode, why, spec, steps):
        self.name, self.mode, self.why, self.spec, self.steps = name, mode, why, spec, steps
        self.needs_socket = any(step in ("-- use 2", "-- half-close") for step in steps)


class Stage:
    """A page: `# title`, text, `Needs:`, and a `##` with a block for each case."""

    def __init__(self, path):
        self.path = path
        number, self.name = path.stem.split("-", 1)
        self.number = int(number)
        head, *parts = re.split(r"^## ", path.read_text(), flags=re.M)
        needs = re.search(r"^Needs: (.*)$", head, flags=re.M)
        self.needs = re.findall(r"`([^`]+)`", needs.group(1)) if needs else []
        self.cases = [self.read_case(part) for part in parts]

    def read_case(self, part):
        name, text = part.split("\n", 1)
        block = re.search(r"^```qmp ?(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
        spec = re.search(r"^Spec: (.*)$", text, flags=re.M)
        why = text[:min(block.start(), spec.start())].strip()
        steps = block.group(2).splitlines()
        return Case(name.strip(), block.group(1), why, spec.group(1), steps)


def choose(stages, text):
    """The stages that a number, a name, a range or `all` means."""
    if text == "all":
        return stages
    numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if numbers:
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        chosen = [stage for stage in stages if first <= stage.number <= last]
    else:
        chosen = [stage for stage in stages if stage.name == text]
    if not chosen:
        names = ", ".join(f"{stage.number} {stage.name}" for stage in stages)
        raise CannotJudge(f"there is no stage '{text}'; the stages are {names}, all")
    return chosen


def all_stages():
    return [Stage(path) for path in sorted(STAGES.glob("*-*.md"))]
