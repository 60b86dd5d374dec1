"""Ours without its metrics: nothing is counted, looked at or scraped."""

from benchmarks.windows.peers.orderflow import main, the_jobs_plan

if __name__ == "__main__":
    main(the_jobs_plan, metered=False)
