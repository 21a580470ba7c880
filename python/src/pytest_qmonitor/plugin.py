"""What pytest loads: the fixture, the marker, and what is told of a failure."""

from __future__ import annotations

import difflib
import os
from typing import Any, Dict, Generator, Iterator, List, Optional

import pytest

from ._mock import Choice, Qmonitor, replay_line

MARKER = """\
qmonitor(faults=[...], profiles=[...], seeds=N, time="virtual"): run the test once for each fault \
(a name, or a list of names that are on together), profile and seed"""

_MOCK = pytest.StashKey[Qmonitor]()
_FAILED = pytest.StashKey[bool]()

#: What a marker may say.
_MEMBERS = ("faults", "profiles", "seeds", "time")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def _said(node: pytest.Item) -> Dict[str, Any]:
    """What the markers say; that of the function goes before that of its class."""
    said: Dict[str, Any] = {}
    for marker in node.iter_markers("qmonitor"):
        if marker.args:
            raise pytest.UsageError("the marker qmonitor takes arguments by name only")
        for name, value in marker.kwargs.items():
            if name not in _MEMBERS:
                near = difflib.get_close_matches(name, _MEMBERS, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise pytest.UsageError(f"the marker qmonitor has no '{name}'{hint}")
            said.setdefault(name, value)
    return said


def _seed_from_environment() -> Optional[int]:
    text = os.environ.get("QMONITOR_SEED")
    return int(text) if text else None


def _seeds(said: Dict[str, Any]) -> List[Optional[int]]:
    """The seeds to play; QMONITOR_SEED picks one."""
    chosen = _seed_from_environment()
    if chosen is not None:
        return [chosen]
    seeds = said.get("seeds")
    if seeds is None:
        return [None]
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_qmonitor_choice" not in metafunc.fixturenames:
        return
    said = _said(metafunc.definition)
    # No fault is the fault of an empty name.
    faults = [
        tuple(fault) if isinstance(fault, (list, tuple)) else (fault,) if fault else ()
        for fault in said.get("faults", [None])
    ]
    profiles: List[Optional[str]] = list(said.get("profiles", [None]))
    seeds = _seeds(said)
    choices: List[Choice] = []
    ids: List[str] = []
    for fault in faults:
        for profile in profiles:
            for seed in seeds:
                choices.append(Choice(fault, profile, seed, said.get("time")))
                words: List[str] = []
                if "faults" in said:
                    words.append("+".join(fault) or "no-fault")
                if profile is not None:
                    words.append(profile)
                if "seeds" in said:
                    words.append(f"seed{seed}")
                ids.append("-".join(words))
    if any(ids):
        metafunc.parametrize("_qmonitor_choice", choices, ids=ids, indirect=True)


@pytest.fixture
def _qmonitor_choice(request: pytest.FixtureRequest) -> Choice:
    choice: Optional[Choice] = getattr(request, "param", None)
    if choice is None:
        said = _said(request.node)
        choice = Choice(seed=_seed_from_environment(), time=said.get("time"))
    return choice


@pytest.fixture
def qmonitor(request: pytest.FixtureRequest, _qmonitor_choice: Choice) -> Iterator[Qmonitor]:
    """A mocked QEMU: a fresh process for each test, verified at its end."""
    node = request.node
    folders = [request.config.rootpath, request.path.parent]
    replay = replay_line(node.nodeid, _qmonitor_choice.seed)
    mock = Qmonitor(_qmonitor_choice, folders, replay)
    node.stash[_MOCK] = mock
    yield mock
    failure = mock.finish()
    # A test that has failed has told what came.
    if failure is not None and not node.stash.get(_FAILED, False):
        pytest.fail(failure, pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    mock = item.stash.get(_MOCK, None)
    if report.when == "call" and report.failed and mock is not None:
        item.stash[_FAILED] = True
        report.sections.append(("qmonitor", mock.describe()))
