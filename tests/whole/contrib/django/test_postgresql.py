"""Jobs of a project whose database is a PostgreSQL, and whose store is therefore elsewhere: they follow its commits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy
import sqlalchemy.orm
from lamplighter import UsageError

from ....support.postgresql.server import Server

SERVERS = Path(__file__).resolve().parents[4] / "bench" / "servers.py"

PROJECT = """
import json, sys, threading

import django
from django.conf import settings

host, port, user, password, name, store = sys.argv[1:]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "USER": user, "NAME": name}
settings.configure(
    DATABASES={"default": {**database, "PASSWORD": password, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}},
    INSTALLED_APPS=["lamplighter.contrib.django"],
    LAMPLIGHTER={"STORE": store} if store else {},
)
django.setup()

from django.db import connection, transaction
from lamplighter import UsageError
from lamplighter.contrib.django import jobs, runtime


def users():
    with connection.cursor() as cursor:
        cursor.execute("select name from users order by name")
        return [name for (name,) in cursor.fetchall()]


def insert(name):
    with connection.cursor() as cursor:
        cursor.execute("insert into users values (%s)", [name])


@jobs.handler("greet")
def greet(job):
    return job.data in users()


@jobs.handler("ask")
def ask(job):
    return job.wait("approval")


@jobs.handler("pid")
def pid(job):
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        return cursor.fetchone()[0]


class Regret(Exception):
    pass


def sign_up(name, *, regret=False):
    try:
        with transaction.atomic():
            insert(name)
            # Before the commit it does not exist, so that nothing can run it.
            job = jobs.queue("greet", name)
            before = [one.id for one in jobs.list("greet")]
            if regret:
                raise Regret
    except Regret:
        pass
    return job, job.id in before


with connection.cursor() as cursor:
    cursor.execute("create table users (name text)")
said = {}
with runtime:
    ada, said["before the commit"] = sign_up("ada")
    said["committed"] = jobs.join(ada, timeout=20).result
    bob, _ = sign_up("bob", regret=True)
    with transaction.atomic():
        insert("eve")
        try:
            with transaction.atomic():
                joe = jobs.queue("greet", "joe")
                raise Regret
        except Regret:
            pass
        eve = jobs.queue("greet", "eve")
    said["savepoint"] = jobs.join(eve, timeout=20).result
    known = [job.id for job in jobs.list("greet")]
    said["rolled back"] = [job.id in known for job in (bob, joe)]

    asked = jobs.queue("ask")
    for answer in ("rolled back", "committed"):
        try:
            with transaction.atomic():
                jobs.signal(asked, "approval", answer)
                try:
                    jobs.reprioritize(asked, 4)
                except UsageError as error:
                    said["refused"] = "on_commit" in str(error)
                if answer == "rolled back":
                    raise Regret
        except Regret:
            pass
    said["signal"] = jobs.join(asked, timeout=20).result

    first = jobs.join(jobs.queue("pid"), timeout=20).result
    same = jobs.join(jobs.queue("pid"), timeout=20).result
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s)", [first])
    third = jobs.join(jobs.queue("pid"), timeout=20)
    said["connections"] = [first == same, first != third.result, third.attempt]
    said["users"] = users()
print(json.dumps(said))
"""


OWN = """
import json, sys

import django
from django.conf import settings

host, port, user, password, name, schema = sys.argv[1:]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "USER": user, "NAME": name}
settings.configure(
    DATABASES={"default": {**database, "PASSWORD": password}}, INSTALLED_APPS=["lamplighter.contrib.django"]
)
django.setup()

from django.core.management import call_command
from django.db import connection, transaction
from lamplighter import StoreError
from lamplighter.contrib.django import jobs


def count():
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from lamplighter.lamplighter_jobs")
        return cursor.fetchone()[0]


said = {}
try:
    with transaction.atomic():
        jobs.queue("greet", "nobody")
except StoreError as error:
    said["too early"] = str(error)
call_command("migrate", verbosity=0)
call_command("check")
try:
    with transaction.atomic():
        jobs.queue("greet", "bob")
        said["inside"] = count()
        raise KeyError
except KeyError:
    said["rolled back"] = count()
with transaction.atomic():
    jobs.queue("greet", "ada")
said["committed"] = count()
print(json.dumps(said))
"""


@pytest.fixture
def database(postgres_server: Server) -> Iterator[list[str]]:
    """The host, the port, the user, the password and the name of an empty database."""
    postgres_server.psql("create database shop owner lamplighter")
    url = urlsplit(postgres_server.url)
    yield [str(url.hostname), str(url.port), str(url.username), str(url.password), "shop"]
    postgres_server.psql("drop database shop with (force)")


def run(tmp_path: Path, text: str, *arguments: str) -> dict[str, Any]:
    script = tmp_path / "project.py"
    script.write_text(text)
    ran = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("is_own", [True, False], ids=["in it", "elsewhere"])
def test_jobs_follow_the_commits_of_a_postgresql(database: list[str], tmp_path: Path, is_own: bool) -> None:
    assert run(tmp_path, PROJECT, *database, "" if is_own else str(tmp_path / "jobs.db")) == {
        "before the commit": False,
        "committed": True,
        "savepoint": True,
        "rolled back": [False, False],
        "signal": "committed",
        "refused": True,
        # The thread keeps its connection, and has another one when the server has closed that.
        "connections": [True, True, 1],
        "users": ["ada", "eve"],
    }


def test_a_project_on_postgresql_has_its_store_there_and_needs_no_setting(database: list[str], tmp_path: Path) -> None:
    said = run(tmp_path, OWN, *database, "")

    assert "expected Lamplighter's tables" in said["too early"] and "run manage.py migrate first" in said["too early"]
    assert (said["inside"], said["rolled back"], said["committed"]) == (1, 0, 1)


def test_a_session_on_a_postgresql_is_refused_and_its_commit_can_be_followed(
    postgres_server: Server, runtime: Any
) -> None:
    rt = runtime()
    engine = sqlalchemy.create_engine(postgres_server.url.replace("postgresql://", "postgresql+psycopg://"))
    with sqlalchemy.orm.Session(engine) as session:
        session.execute(sqlalchemy.text("select 1"))
        with pytest.raises(UsageError, match=r"on SQLite, got: sqlalchemy\.orm\.session\.Session"):
            rt.jobs.queue("welcome", connection=session)

        sqlalchemy.event.listen(session, "after_commit", lambda session: rt.jobs.queue("welcome"), once=True)
        session.rollback()
        after_rollback = rt.jobs.counts("welcome")["queued"]
        session.execute(sqlalchemy.text("select 1"))
        session.commit()

    engine.dispose()
    assert (after_rollback, rt.jobs.counts("welcome")["queued"]) == (0, 1)
