"""The systems that do the job, each a program of its own.

`python -m benchmarks.windows.peers.<name> BOOTSTRAP TOPIC EVENTS OUT` reads the topic from its
beginning until it has done so many events, and writes to OUT what `report.py` says. Each adds up
an hour's revenue of a country where its framework keeps state, one state for each partition of the
source; the report adds the partitions up. None of these modules imports the application, except
`orderflow`, so that a peer can run with an environment of its own.
"""
