"""A store on RabbitMQ without the library that reaches it."""

from __future__ import annotations

import sys

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.errors import MissingExtra

INSTALLS = r"pika for jobs in RabbitMQ.*pip install 'lamplighter\[rabbitmq\]'"


@pytest.fixture(autouse=True)
def without_pika(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pika" or "stores.rabbitmq.pika" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pika", None)


def test_a_missing_pika_is_said_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra, match=INSTALLS):
        Runtime("amqp://mq.example/")


def test_the_doctor_does_not_take_it_for_a_fault_of_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--store", "amqp://mq.example/"]) == 2
    assert "pip install 'lamplighter[rabbitmq]'" in capsys.readouterr().err
