"""The topics: all there, with the partitions, copies and retention that they must have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.cli.doctor.finding import IS_IT_UP, Finding, failed, ok, warning
from app.cli.doctor.servers import UnansweredError, connected
from app.cli.saga_log import topics_of
from app.operating.broker import Broker, BrokerAwayError
from app.operating.handled import State
from app.operating.listing import Listing
from app.saga import SAGAS
from app.settings import Settings
from app.stores import mongo
from app.topics import TopicPlan, plans

AREA = "topics"
MAKE = "faust -A app topics"
# With this many brokers, three copies of everything can be had.
BROKERS_FOR_COPIES = 3
MIN_IN_SYNC = "min.insync.replicas"
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Partition:
    """How many copies it has, and how many of them have everything; whether any can be written."""

    copies: int
    in_sync: int
    led: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """A topic as the broker has it."""

    partitions: Sequence[Partition]
    config: Mapping[str, str] = field(default_factory=dict)


async def check(settings: Settings, seconds: float) -> Sequence[Finding]:
    """Look at the broker's topics."""
    wanted = plans(settings)
    names = [plan.name for plan in wanted]
    try:
        async with connected(settings) as connections:
            admin = await connections.admin()
            brokers = len((await admin.describe_cluster())["brokers"])
            described = {
                topic["topic"]: topic
                for topic in await admin.describe_topics()
                if topic["topic"] in names and not topic["error_code"]
            }
            configs = {}
            if described:
                resources = [ConfigResource(ConfigResourceType.TOPIC, n) for n in described]
                (answer,) = await admin.describe_configs(resources)
                for *_, name, entries in answer.resources:
                    configs[name] = {entry[0]: entry[1] for entry in entries}
    except UnansweredError as error:
        return [failed(AREA, "topics", str(error), error.todo)]
    held = {
        name: Held(
            [
                Partition(len(p["replicas"]), len(p["isr"]), p["leader"] >= 0)
                for p in topic["partitions"]
            ],
            configs.get(name, {}),
        )
        for name, topic in described.items()
    }
    together = tuple(topics_of(SAGAS[settings.saga_order]))
    return judge(wanted, held, brokers, together)


async def check_dead_letters(settings: Settings, seconds: float) -> Sequence[Finding]:
    """Look for dead letters that nobody has seen to."""
    database = mongo.connect(settings, timeout=seconds)
    broker = Broker(settings, seconds=seconds)
    try:
        page = await Listing(broker, database).page(state=State.OPEN, limit=1)
    except (BrokerAwayError, mongo.TransientStoreError, mongo.PyMongoError):
        return [failed(AREA, "dead letters", "Kafka or MongoDB does not answer", IS_IT_UP)]
    finally:
        await mongo.close(database)
    return dead_letters({topic: counts[State.OPEN] for topic, counts in page.counts.items()})


def judge(
    wanted: Sequence[TopicPlan], held: Mapping[str, Held], brokers: int, together: Sequence[str]
) -> list[Finding]:
    """What is not as planned; one line where all is.

    Args:
        together: topics whose partitions must be as many, so that an order's events meet.
    """
    found = []
    missing = [plan.name for plan in wanted if plan.name not in held]
    if missing:
        found.append(failed(AREA, "missing", names(missing), MAKE))
    there = [(plan, held[plan.name]) for plan in wanted if plan.name in held]
    counts = {name: len(held[name].partitions) for name in together if name in held}
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{name} has {count}" for name, count in counts.items())
        todo = "An order's events must share a partition number: start with new topics"
        found.append(failed(AREA, "co-partitioning", words, todo))
    wrong = [
        f"{p.name} has {len(h.partitions)}" for p, h in there if len(h.partitions) != p.partitions
    ]
    if wrong:
        todo = "Set TOPIC_PARTITIONS to what is there: records don't move to other partitions"
        found.append(failed(AREA, "partitions", names(wrong), todo))
    found += _copies(there, brokers)
    found += _kept(there)
    if not found:
        plan = wanted[0]
        copies = "1 copy" if plan.replication == 1 else f"{plan.replication} copies"
        words = f"all {len(wanted)}, {plan.partitions} partitions and {copies} each"
        found.append(ok(AREA, "topics", words))
    return found


def dead_letters(letters: Mapping[str, int]) -> list[Finding]:
    """The topics with dead letters that nobody has seen to."""
    held = {name: count for name, count in letters.items() if count}
    if not held:
        return [ok(AREA, "dead letters", "none that nobody has seen to")]
    words = ", ".join(f"{count:,} in {name}" for name, count in held.items())
    return [warning(AREA, "dead letters", words, "faust -A app dlq list, then replay or discard")]


def names(of: Sequence[str]) -> str:
    """The first of them, and how many there are besides."""
    more = f" and {len(of) - NAMES_SHOWN} more" if len(of) > NAMES_SHOWN else ""
    return ", ".join(of[:NAMES_SHOWN]) + more


def _copies(there: Sequence[tuple[TopicPlan, Held]], brokers: int) -> list[Finding]:
    found = []
    leaderless = [p.name for p, h in there if not all(each.led for each in h.partitions)]
    if leaderless:
        todo = "Its broker is away, or still starting"
        found.append(failed(AREA, "leaders", f"none for {names(leaderless)}", todo))
    refused = [p.name for p, h in there if any(e.in_sync < _least(h) for e in h.partitions)]
    behind = [p.name for p, h in there if any(e.in_sync < e.copies for e in h.partitions)]
    if refused:
        todo = "Fewer brokers are in sync than writes need: start those that are away"
        found.append(failed(AREA, "in sync", f"too few for {names(refused)}", todo))
    elif behind:
        todo = "A broker is away or slow: no copy is to spare"
        found.append(warning(AREA, "in sync", f"not all of {names(behind)}", todo))
    fewer = [p.name for p, h in there if any(e.copies < p.replication for e in h.partitions)]
    if fewer:
        todo = "Kafka's reassign-partitions tool adds copies; new topics get TOPIC_REPLICATION"
        found.append(warning(AREA, "copies", f"fewer than planned of {names(fewer)}", todo))
    elif there and brokers >= BROKERS_FOR_COPIES and there[0][0].replication == 1:
        todo = "TOPIC_REPLICATION=3, before the topics are made"
        found.append(warning(AREA, "copies", f"one, on {brokers} brokers", todo))
    single = [p.name for p, h in there if p.replication > 1 and _least(h) == 1]
    if single:
        todo = f"{MIN_IN_SYNC}=2: else a write counts as safe that only one broker has"
        found.append(warning(AREA, MIN_IN_SYNC, f"1 for {names(single)}", todo))
    return found


def _least(held: Held) -> int:
    return int(held.config.get(MIN_IN_SYNC, 1))


def _kept(there: Sequence[tuple[TopicPlan, Held]]) -> list[Finding]:
    policy: list[str] = []
    hours: list[str] = []
    for plan, held in there:
        for key, value in plan.config.items():
            if held.config.get(key, value) != value:
                (policy if key == "cleanup.policy" else hours).append(plan.name)
    found = []
    if policy:
        found.append(failed(AREA, "clean-up", f"another policy for {names(policy)}", MAKE))
    if hours:
        words = f"other than planned for {names(list(dict.fromkeys(hours)))}"
        found.append(warning(AREA, "retention", words, f"{MAKE} sets it"))
    return found
