"""Synthesized sound: sirens, traps that must not alarm, acoustics and whole street scenes.

Numpy only, seeded, and free of files and clocks, so that the demo, the bundle's self-test and the
trainer use one implementation.
"""
