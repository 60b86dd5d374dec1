"""Faults of the stores. Those that are transient pass: the batch is loaded and decided again."""


class TransientStoreError(Exception):
    """The store could not be reached, or refused for now; asking again later is right."""


class ConflictError(TransientStoreError):
    """Somebody else wrote first: what was decided stood on an older state."""


class OversoldError(Exception):
    """What was decided would take more than there is: trying again will not help."""


class LeaseUnavailableError(TransientStoreError):
    """Another holder has one of the locks, or the lock server can't be asked."""
