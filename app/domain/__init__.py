"""Pure decisions: no I/O, no clock, no Faust. Each is a fold over the events of an order."""
