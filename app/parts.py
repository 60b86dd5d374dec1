"""What the system is made of, by name. Imports nothing, so that whoever starts it may ask, too."""

# Each is a value of `SAGA_ORDER`: the saga's steps in the order in which they are taken. A step is
# known here once it is part of one.
SAGA_ORDERS = ("inventory,payment", "payment,inventory")
STEP_NAMES = tuple(dict.fromkeys(name for order in SAGA_ORDERS for name in order.split(",")))
# Those that an order waits for: who decides, and a service for each step.
SAGA_NAMES = ("order", *STEP_NAMES)
# Every system has these too.
SERVICE_NAMES = (*SAGA_NAMES, "notification", "audit", "analytics", "movies")


def saga_order_of(service: str) -> str:
    """The first saga in which the service has its part; every saga has those that are no steps."""
    return next(order for order in SAGA_ORDERS if service in services_of(order))


def services_of(saga_order: str = SAGA_ORDERS[0]) -> tuple[str, ...]:
    """The services of a system with this saga: all but those of steps that it does not take."""
    taken = saga_order.split(",")
    return tuple(name for name in SERVICE_NAMES if name in taken or name not in STEP_NAMES)
