"""The campaign's modules are found by their names, here and by `lamplighter simulate`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
