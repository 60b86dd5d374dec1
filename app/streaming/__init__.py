"""At-least-once processing in chunks, for any Faust app: what this folder adds to Faust.

Stock Faust hands an agent one record at a time and can commit past work in flight. Here an agent is
handed *chunks* (records of one partition, in order), and an offset is committed only once every
chunk before it was finished by the code that processed it.

    app = faust.App("my-group", broker="kafka://localhost", stream_wait_empty=True)
    install(app)

    participant = Participant(name="my-group", decode=..., handle=..., publish=Publisher(app))

    @app.agent(chunks(app, "my-topic"))
    async def my_agent(stream):
        await participant.run(stream)

| module          | holds |
| tracker.py      | which chunks are in flight, and how far each partition may be committed |
| chunk.py        | chunks, and how fetched records are split into them |
| transport.py    | the Faust transport that yields chunks and commits by the tracker |
| fetching.py     | fetches in the process's loop, past what the client can't read, while it works |
| recovery.py     | Faust's recovery of tables, that a slow broker does not end |
| producing.py    | the producer, that waits until all it was given is delivered |
| buffer.py       | Faust's buffer of changelog records, that can be drained for sure |
| participant.py  | the loop: join waiting chunks to a batch, handle, publish, finish |
| publisher.py    | sends records and waits until every one was delivered |
| table.py        | a Faust table in RocksDB that is written and recovered in batches |
| observers.py    | who is told what happens |
| lag.py          | how far a consumer is behind, without asking the broker where it need not |
| stuck.py        | which partitions are behind and do not move, and for how long |
| retry.py        | exponential backoff with full jitter |
| dead_letters.py | where a record goes that can't be processed |

Nothing here knows anything of the app that uses it.
"""

from app.streaming.chunk import Chunk
from app.streaming.dead_letters import DeadLetter
from app.streaming.observers import Observer, TableFigures, TableObserver
from app.streaming.participant import (
    Limits,
    Participant,
    lane_of_partition,
    lane_of_topic_partition,
)
from app.streaming.publisher import OutRecord, Publisher, PublishError, UnsendableError
from app.streaming.retry import Backoff
from app.streaming.tracker import CommitTracker, Ticket
from app.streaming.transport import chunks, install

__all__ = [
    "Backoff",
    "Chunk",
    "CommitTracker",
    "DeadLetter",
    "Limits",
    "Observer",
    "OutRecord",
    "Participant",
    "PublishError",
    "Publisher",
    "TableFigures",
    "TableObserver",
    "Ticket",
    "UnsendableError",
    "chunks",
    "install",
    "lane_of_partition",
    "lane_of_topic_partition",
]
