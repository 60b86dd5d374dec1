"""Ours, with every window of orders that a worker keeps.

A minute, an hour and a day; by country, by product and in all, with sketches of customers and
durations.
"""

from benchmarks.windows.peers.orderflow import main

if __name__ == "__main__":
    main(lambda everything: everything)
