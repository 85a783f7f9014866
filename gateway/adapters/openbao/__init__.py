"""The platform's OpenBao: it certifies keys, and signs by the gateway's own."""
