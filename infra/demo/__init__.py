"""Demonstrations: each prints what it claims of the running system, and the figures that show it.

`infra/demo/test-saga` and the like are the commands; `claims` has what they have in common.
"""
