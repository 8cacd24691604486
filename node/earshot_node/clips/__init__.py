"""Audio kept around events: cut from the stream, then held in memory or on disk."""
