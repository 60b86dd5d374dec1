"""The services by their names: what each is made of, with the ports that the settings choose."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.agents.analytics import AnalyticsService
from app.agents.audit import AuditService
from app.agents.inventory import InventoryService
from app.agents.movies import MoviesService
from app.agents.notification import NotificationService
from app.agents.order import OrderService
from app.agents.payment import PaymentService
from app.notifications import Mailer
from app.notifications.log import LogMailer
from app.notifications.smtp import SmtpMailer
from app.parts import services_of
from app.providers import PaymentProvider
from app.providers.http import HttpProvider
from app.providers.simulated import SimulatedProvider
from app.resources import Resources
from app.saga import SAGAS
from app.settings import Settings
from app.stores.repositories import LEDGER
from app.streaming import OutRecord
from app.topics import GROUP_PREFIX


class Service(Protocol):
    """A participant: the topics it hears, and what it does with a batch of their events.

    One that needs more of a record than its event has a `decode(record)` of its own; what that
    returns is what it handles. It raises `UndecodableError` as ever. `decode_all(records)` does so
    for a whole chunk. One that keeps tables makes them in `attach(app, on_fatal)`, before the app
    starts.
    """

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics it consumes."""
        ...

    async def handle(self, events: Sequence[Any]) -> Sequence[OutRecord]:
        """Process events in order; all effects durable on return."""
        ...


def build_provider(resources: Resources) -> PaymentProvider:
    """The payment provider that the settings name."""
    if resources.settings.payment_provider == "http":
        return HttpProvider.from_settings(resources.settings)
    return SimulatedProvider.from_settings(resources.settings, resources.database[LEDGER])


def build_mailer(conf: Settings) -> Mailer:
    """The channel that the settings name."""
    return SmtpMailer.from_settings(conf) if conf.smtp_url else LogMailer()


def build_service(name: str, resources: Resources) -> Service:
    """The service of this name."""
    saga = SAGAS[resources.settings.saga_order]
    makers: dict[str, Callable[[], Any]] = {
        "order": lambda: OrderService(resources, saga),
        "inventory": lambda: InventoryService(resources, saga),
        "payment": lambda: PaymentService(resources, saga, build_provider(resources)),
        "notification": lambda: NotificationService(resources, build_mailer(resources.settings)),
        "audit": lambda: AuditService(resources),
        "analytics": lambda: AnalyticsService.from_resources(resources),
        "movies": lambda: MoviesService(resources),
    }
    service: Service = makers[name]()
    return service


def heard(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The consumer groups of the system, each with the topics that it consumes."""
    resources = Resources.connect(settings)  # nothing is connected before it is used
    return {
        GROUP_PREFIX + name: build_service(name, resources).topics
        for name in services_of(settings.saga_order)
    }
