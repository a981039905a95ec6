"""Memory and the file stay level; the full run is twenty minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TORTURE = bool(os.environ.get("LAMPLIGHTER_TORTURE"))
SECONDS = 1200 if TORTURE else 12


def test_memory_and_file_stay_level_under_a_steady_stream_of_jobs() -> None:
    script = Path(__file__).with_name("soak.py")

    ran = subprocess.run([sys.executable, str(script), str(SECONDS)], check=False, capture_output=True, text=True)

    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
