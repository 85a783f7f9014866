"""AMQP 0-9-1 over mTLS, straight from the broker."""
