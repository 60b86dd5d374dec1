"""Benchmarks: each figure beside the limit it can be held against, in one run."""
