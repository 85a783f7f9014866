"""The regional plane (ACD-201, "Crypto Core"): receives tasks, executes them on OpenBao and the HSM, reports."""
