"""Seeded failures: whether a step of an order fails is a function of seed, step and order alone.

So a replay, a retry and a model that predicts the outcome all see the same.
"""

from hashlib import sha256

RESOLUTION = 2**64


def fails(seed: int, step: str, order_id: str, rate: float) -> bool:
    """Whether the step fails, for a share `rate` (0 to 1) of all orders."""
    if not rate:
        return False
    digest = sha256(f"{seed}:{step}:{order_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rate * RESOLUTION
