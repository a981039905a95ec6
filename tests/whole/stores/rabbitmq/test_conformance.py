"""The RabbitMQ store keeps the promises of the port, but for what it declares; here on a real server."""

from __future__ import annotations

from functools import partial

import pytest
from lamplighter.stores.rabbitmq.place import RabbitPlace

from support.conformance.suite import StoreConformance

from ....stores.rabbitmq.test_conformance import CANNOT, PatientStore, its_environment
from .kit import link_to


class TestOnAServer(StoreConformance):
    cannot = CANNOT

    @pytest.fixture(autouse=True)
    def address(self, wiped_url):
        self.url = wiped_url

    def make_store(self, place):
        return PatientStore(
            RabbitPlace(self.url), link_to(self.url), partial(link_to, self.url), environment=its_environment()
        )
