"""From 16 kHz blocks to posteriors and events. Counts samples and frames; knows no clock, thread or socket."""
