"""What a person at the terminal is told instead of a trace."""


class LocalError(Exception):
    """Something a person can put right; its text says what and how."""


class ProgramDiedError(LocalError):
    """A program ended, or never got ready, while we waited for it."""
