"""What deciding gives: the new state, and the events to emit."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from app.events import Event

S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[S_co]):
    """A state and the events that its change, or its repetition, calls for.

    The state is the very object that was given where nothing changed.
    """

    state: S_co
    events: tuple[Event, ...] = ()
