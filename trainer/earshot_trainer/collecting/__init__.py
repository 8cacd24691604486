"""Recordings from the nodes into the trainer's home."""
