"""Payment service: charges an order when the step before is done.

Consumes: the topics of its trigger and of later steps' failures (inventory-first:
inventory.events.v1), key: order id. Produces: payment.events.v1.
Stores: payments, one document an order. Compensates: PaymentRefunded when a later step failed.
"""

from collections.abc import Sequence

from app.agents.folding import Folding, keys, outgoing, rounds
from app.domain import payment as domain
from app.events import Event, timestamp
from app.providers import PaymentProvider
from app.resources import Resources
from app.saga import Saga
from app.stores import repositories
from app.streaming import OutRecord
from app.topics import BY_EVENT


class PaymentService:
    """Moves money through the provider, once an order."""

    def __init__(self, resources: Resources, saga: Saga, provider: PaymentProvider) -> None:
        self._clock = resources.clock
        self._saga = saga
        self._provider = provider
        self._payments = repositories.payments(resources.database)
        self._on_stored = resources.listeners.payments_stored

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of the events it acts on."""
        heard = [self._saga.trigger(domain.STEP), *self._saga.undo_triggers(domain.STEP)]
        again = self._saga.step(domain.STEP).undo_again
        if again:
            heard.append(again)
        return tuple(dict.fromkeys(BY_EVENT[event].name for event in heard))

    async def handle(self, events: Sequence[Event]) -> list[OutRecord]:
        """One load and one save; the provider is asked for all orders of a round at once.

        A crash between the provider's answer and the save is harmless: asked again, the provider
        gives the same answer.
        """
        now = timestamp(self._clock())
        folding: Folding[domain.Payment] = Folding(await self._payments.load(keys(events)))
        for group in rounds(events):
            requests = {
                event.order_id: request
                for event in group
                if (request := domain.request(folding.state(event), event, self._saga))
            }
            answers = await self._provider.call(list(requests.values())) if requests else ()
            results = dict(zip(requests, answers, strict=True))
            for event in group:
                result = results.get(event.order_id)
                folding.apply(
                    event,
                    domain.decide(folding.state(event), event, result, self._saga, now),
                )
        changes = folding.changes()
        await self._payments.save(changes)
        self._on_stored(changes)
        return outgoing(folding.emitted)
