"""What is wrong with the settings is told by Django's check framework, by its name; nothing half starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WRONG = """
import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["lamplighter.contrib.django"], LAMPLIGHTER={"STORE": "jobs.db", "DRAIN": "long"})
django.setup()
from lamplighter.contrib.django import jobs, runtime

jobs.add_handler("greet", print)
for call in (runtime.start, runtime.__enter__, lambda: jobs.queue("greet")):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_with_wrong_settings_handlers_can_be_added_and_nothing_starts(tmp_path: Path) -> None:
    """`manage.py check` imports the project's views, and must get so far as to say what is wrong."""
    ran = subprocess.run(
        [sys.executable, "-c", WRONG], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )

    assert [line.split(":")[0] for line in ran.stdout.splitlines()] == ["ImproperlyConfigured LAMPLIGHTER['DRAIN']"] * 3
    assert not list(tmp_path.iterdir())
