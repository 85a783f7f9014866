"""MQTT over mTLS, straight from the broker."""
