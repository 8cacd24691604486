"""Earshot node: hears sirens in live audio and tells Home Assistant over MQTT."""

import os

# onnxruntime 1.29 and newer report the machine and the process to their maker unless this is set before their import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "2026.11.0"
