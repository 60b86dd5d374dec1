"""Streaming analytics: exact event-time windows as pure folds, and the tables that hold them.

| module      | holds |
| keys.py     | where in a table which value lies |
| tally.py    | what is kept of a window: sums, and sketches of customers and durations |
| ledger.py   | how far a partition is counted: offset, watermark, the orders already counted |
| folding.py  | the fold of one partition's records into its windows, exactly once |
| decoding.py | records of the order topic as their fold needs them |
| orders.py   | what an order's events add to which windows |
| movies.py   | what a view of a movie adds to which windows |
| reading.py  | what a partition answers of its windows |
| merging.py  | the answers of all partitions put together |
| timing.py   | what all partitions' progress says of time; hopping windows |

A table's partition is folded from the same partition of its source topic. Nothing here does I/O:
a fold is given what to read through and returns what to write.
"""
