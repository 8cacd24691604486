"""From facts to an MQTT broker and Home Assistant, and back from their commands."""
