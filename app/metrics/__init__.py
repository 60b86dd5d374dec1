"""What a worker counts, and how Prometheus gets it.

Everything is counted once a chunk, a batch or a request, never once an event; what can be asked
for when it is scraped (lag, tables, readiness) is not counted at all. `docs/metrics.md` names every
metric; `docs/adr/0011-metrics-a-chunk.md` says why it is done so.

Nothing is imported here: a gateway uses some of it, and needs no Faust.

| module       | holds |
| registry.py  | the one registry of a process |
| scraping.py  | how it is rendered, so that many scrapes cost no more than a few |
| worker.py    | all of a worker's metrics, and who is told what (`app.listeners`) |
| sagas.py     | orders, sagas, revenue, payments |
| counting.py  | what stored states say of them; pure |
| streams.py   | records, batches, retries, dead letters |
| guards.py    | locks and the stock's guard |
| asked.py     | lag, readiness, recovery and tables, as of the scrape |
| loop.py      | the event loop's lag |
| histogram.py | a histogram that takes many observations at once |
"""
