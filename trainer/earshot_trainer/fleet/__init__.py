"""The trainer's nodes: let in by invite, watched over MQTT, taken out."""
