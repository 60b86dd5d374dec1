"""What an operator asks and does: topics, their messages, consumer groups, dead letters.

Plain functions over Kafka and MongoDB, for the web views and for the command line alike: neither
needs a worker. Kafka is only read here, without a group and without a commit, so nobody's offset
moves; the one thing that is sent is a dead letter that is replayed.

| module           | holds |
| broker.py        | connections to Kafka: some at once, each question within a time limit |
| catalogue.py     | the topics that there are, and how far each partition reaches |
| reading.py       | records of given places, without a group |
| messages.py      | the messages of a topic, a page at a time |
| groups.py        | the consumer groups: who has what, and how far behind |
| letters.py       | a dead letter: what its record says, and the record to send again |
| handled.py       | what was done about dead letters: one document each |
| letterbox.py     | the dead-letter topics, and the records in them |
| listing.py       | listing dead letters |
| acting.py        | replaying and discarding them |
"""
