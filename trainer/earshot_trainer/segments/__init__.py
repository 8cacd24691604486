"""Training segments: sounds laid over backgrounds, at known times and levels."""
