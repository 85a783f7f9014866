"""MQTT, as a way into the broker."""
