"""The trainer's home: its configuration, catalogue, recordings, models and keys, in one folder."""
