"""Earshot node: hears sirens in live audio and tells Home Assistant over MQTT."""

__version__ = "2026.11.0"
