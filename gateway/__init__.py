"""The gateway: one address in front of all workers.

Imports nothing of the application but its settings, so that it starts in a moment and stays small.
"""
