"""The region's OpenBao: records (KV v2), keys (transit), and the token a JWT region shows the gateway."""
