"""A QMP server that does what the test says, as a fixture of pytest.

The fixture ``qmonitor`` is a :class:`Qmonitor`: a fresh ``qmonitor-mock`` for
each test, whose expectations are verified when the test has ended.
"""

from __future__ import annotations

from ._control import CommandError, ControlError
from ._mock import Launch, Qmonitor, Remark, Request, Verdict
from ._program import find_program

__all__ = [
    "CommandError",
    "ControlError",
    "Launch",
    "Qmonitor",
    "Remark",
    "Request",
    "Verdict",
    "find_program",
]
