"""The consumer groups: alive, each partition owned, and not falling behind."""

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaConnectionError

from app.agents.registry import heard
from app.cli.doctor.finding import IS_IT_UP, Finding, failed, ok, warning
from app.operating.broker import Broker, BrokerAwayError
from app.operating.groups import Group, groups
from app.settings import Settings

AREA = "groups"
STABLE = "Stable"
# A burst is worked off in seconds: then it is looked at again, whether it gets less.
LAG_NOTED = 1000
AGAIN_SECONDS = 1.0


async def check(settings: Settings, seconds: float) -> Sequence[Finding]:
    """Look at the groups of all services, twice where one is behind."""
    topics = heard(settings)
    broker = Broker(settings, seconds=seconds)
    try:
        first = await groups(broker, topics)
        second = first
        if any(group.lag > LAG_NOTED for group in first):
            await asyncio.sleep(AGAIN_SECONDS)
            second = await groups(broker, topics)
    except BrokerAwayError as error:
        words, todo = str(error), IS_IT_UP
        if error.refusal is not None:
            words, todo = error.refusal.words, error.refusal.todo
        elif isinstance(error.__cause__, KafkaConnectionError):
            words = f"no broker answers at {settings.kafka_bootstrap_servers}"
        return [failed(AREA, "groups", words, todo)]
    before = {group.name: group.lag for group in first}
    return [judge(group, before[group.name]) for group in second]


def judge(group: Group, lag_before: int) -> Finding:
    """How a group is.

    Args:
        lag_before: its lag a moment ago.
    """
    count = len(group.members)
    lag = f"lag {group.lag:,}"
    if not count:
        todo = f"Start a worker that has the service {group.service}: `make up`"
        return failed(AREA, group.name, f"nobody takes part, {lag}", todo)
    if group.state != STABLE:
        todo = "Partitions move: look again in some seconds"
        return warning(AREA, group.name, f"{group.state}, {lag}", todo)
    owned = {tp for member in group.members for tp in member.partitions}
    unowned = [p for p in group.partitions if (p.topic, p.partition) not in owned]
    if unowned:
        words = ", ".join(f"{p.topic} {p.partition}" for p in unowned[:3])
        todo = "Nobody hears these: `make restart`, and look at the workers' logs"
        return failed(AREA, group.name, f"{len(unowned)} partitions unowned: {words}", todo)
    members = f"{count} member{'s' * (count != 1)}"
    if group.lag > LAG_NOTED and group.lag >= lag_before:
        todo = "More comes in than is done: more workers, or a server is slow (records held)"
        return warning(AREA, group.name, f"{members}, {lag} and not getting less", todo)
    return ok(AREA, group.name, f"{members}, {lag}")
