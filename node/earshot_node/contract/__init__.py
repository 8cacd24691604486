"""What node and trainer agree on: labels, topics, messages, the bundle manifest and config types.

Data types and pure functions only: no paths, sockets or clocks.
"""
