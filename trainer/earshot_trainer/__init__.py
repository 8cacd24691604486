"""Earshot's trainer: learns from recordings, measures what it learnt, and packages models for nodes."""
