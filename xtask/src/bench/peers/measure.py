"""Runs a command and prints its wall time, processor time and peak memory: seconds, seconds, MiB."""

import os
import subprocess
import sys
import time

begun = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall = time.monotonic() - begun
if status:
    sys.exit(f"{sys.argv[1:]} failed")
print(f"{wall:.3f} {usage.ru_utime + usage.ru_stime:.3f} {usage.ru_maxrss / 1024:.0f}")
