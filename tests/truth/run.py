#!/usr/bin/env python3
"""truth.fresh_seed and truth.fixed_seeds: run.py TEST PROGRAM. STRAY_TEST_LONG=1 makes ten minutes of the first one's 20 seconds."""
import os
import sys

test, program = sys.argv[1:]
if test == "fixed_seeds":
    options = ["--cover"]
else:
    options = ["--seconds", "600" if os.environ.get("STRAY_TEST_LONG") == "1" else "20"]
os.execv(program, [program, *options])
