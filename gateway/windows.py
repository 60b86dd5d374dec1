"""Sliding windows: how many requests somebody has had in the time before now.

Time is cut into buckets. A window counts its current bucket and as many before it as it takes to
cover its length, each of them whole: so it never admits more than its requests in any stretch of
its length, wherever that begins. Small quotas have buckets of a millisecond and are exact to it;
large ones have tenths of the window, need eleven numbers however many requests there are, and give
a request's place back up to a tenth of the window late.

`CHECK` runs in Redis, by its clock, for all gateways together. `LocalWindows` does the same by this
process's clock, for itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.quota import Quota

# Up to so many requests a window has at most so many buckets that are not empty.
EXACT_REQUESTS_MAX = 100
TENTHS = 10
MILLISECONDS = 1000
# Somebody's buckets take about 1.5 kB here; beyond these, who came longest ago is forgotten.
REMEMBERED_MAX = 10_000

# KEYS: each window's buckets. ARGV: requests, width of a bucket in ms and earlier buckets of each.
# All windows must have room, or none is charged. Returns whether they had, the time in ms, and for
# each window the requests it then counts and the ms until its oldest bucket leaves it.
CHECK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local admitted, found, current = 1, {}, {}
for i, key in ipairs(KEYS) do
  local requests, width = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local earlier = tonumber(ARGV[3 * i])
  local bucket = math.floor(now / width)
  local used, oldest = 0, bucket
  local held = redis.call('HGETALL', key)
  for j = 1, #held, 2 do
    local each = tonumber(held[j])
    if each < bucket - earlier then
      redis.call('HDEL', key, held[j])
    else
      used = used + tonumber(held[j + 1])
      if each < oldest then oldest = each end
    end
  end
  if used >= requests then admitted = 0 end
  current[i], found[2 * i - 1] = bucket, used
  found[2 * i] = (oldest + earlier + 1) * width - now
end
if admitted == 1 then
  for i, key in ipairs(KEYS) do
    redis.call('HINCRBY', key, current[i], 1)
    redis.call('PEXPIRE', key, (ARGV[3 * i] + 1) * ARGV[3 * i - 1])
    found[2 * i - 1] = found[2 * i - 1] + 1
  end
end
return {admitted, now, unpack(found)}
"""


@dataclass(frozen=True, slots=True)
class Window:
    """A quota, and how its time is cut.

    Attributes:
        name: what is limited, such as `client`.
        quota: how many requests in how much time.
        width: of a bucket, in milliseconds.
        earlier: buckets that count besides the current one.
    """

    name: str
    quota: Quota
    width: int
    earlier: int

    @classmethod
    def of(cls, name: str, quota: Quota) -> "Window":
        """The window for the quota."""
        length = quota.seconds * MILLISECONDS
        if quota.requests <= EXACT_REQUESTS_MAX:
            return cls(name, quota, width=1, earlier=length - 1)
        return cls(name, quota, width=length // TENTHS, earlier=TENTHS)

    def key(self, who: str) -> str:
        """Where Redis has somebody's buckets: others if the quota is another."""
        quota = self.quota
        return f"gateway:limit:{self.name}:{quota.requests}:{quota.seconds}:{who}"


@dataclass(frozen=True, slots=True)
class Count:
    """What a window says.

    Attributes:
        used: requests it counts, with this one if it was admitted.
        reset_ms: until the oldest of them no longer counts.
    """

    window: Window
    used: int
    reset_ms: int

    @property
    def remaining(self) -> int:
        """Requests that would be admitted now."""
        return max(0, self.window.quota.requests - self.used)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is admitted, and what each of its windows says.

    Attributes:
        at_ms: when, by the clock that decided.
    """

    admitted: bool
    at_ms: int
    counts: tuple[Count, ...]

    @classmethod
    def of(cls, windows: Sequence[Window], answer: Sequence[int]) -> "Verdict":
        """What `CHECK` answered for these windows."""
        admitted, now, *numbers = answer
        counts = zip(windows, numbers[::2], numbers[1::2], strict=True)
        return cls(bool(admitted), now, tuple(Count(*each) for each in counts))


class LocalWindows:
    """The windows of those who came to this process alone.

    Args:
        clock_ms: milliseconds.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._held: OrderedDict[str, dict[int, int]] = OrderedDict()

    def check(self, asked: Sequence[tuple[Window, str]]) -> Verdict:
        """What `CHECK` would answer: the windows and whose they are."""
        now = self._clock_ms()
        everyone = []
        for window, who in asked:
            key, bucket = window.key(who), now // window.width
            held = self._held.setdefault(key, {})
            self._held.move_to_end(key)
            for each in [each for each in held if each < bucket - window.earlier]:
                del held[each]
            everyone.append((window, held, bucket))
        admitted = all(sum(held.values()) < window.quota.requests for window, held, _ in everyone)
        counts = []
        for window, held, bucket in everyone:
            oldest = min(held, default=bucket)
            if admitted:
                held[bucket] = held.get(bucket, 0) + 1
            reset_ms = (min(oldest, bucket) + window.earlier + 1) * window.width - now
            counts.append(Count(window, sum(held.values()), reset_ms))
        while len(self._held) > REMEMBERED_MAX:
            self._held.popitem(last=False)
        return Verdict(admitted, now, tuple(counts))

    def forget(self) -> None:
        """Begin anew."""
        self._held.clear()
