"""Recordings for training: made, kept and handed out; every byte of audio that leaves is written down."""
