"""How a case can end but well."""


class Failure(Exception):
    """The server did something else than the case says."""

    def __init__(self, expected, came, reason=None):
        super().__init__(reason)
        self.expected, self.came, self.reason = expected, came, reason


class CannotJudge(Exception):
    """There is no server to judge."""
