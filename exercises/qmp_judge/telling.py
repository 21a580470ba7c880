"""What is printed about a case."""

import os
import re
import textwrap

SPEC = "https://www.qemu.org/docs/master/interop/qmp-spec.html"


def shorten(text):
    text = text.rstrip("\r")
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


def tell(label, text):
    indent = " " * 15
    print(textwrap.fill(text, 100, initial_indent=f"     {label:<10}", subsequent_indent=indent,
                        break_long_words=False, break_on_hyphens=False))


def anchor(section):
    return re.sub(r"[^a-z0-9]+", "-", section.lower()).strip("-")


def explain(case, play, failure, stage, said):
    play.tell()
    tell("expected", failure.expected)
    tell("came", shorten(str(failure.came)))
    if failure.reason:
        tell("so", failure.reason)
    for line in said[-5:]:
        tell("stderr", line)
    tell("why", " ".join(case.why.split()))
    tell("spec", f"\"{case.spec}\", {SPEC}#{anchor(case.spec)}")
    tell("page", os.path.relpath(stage.path))
