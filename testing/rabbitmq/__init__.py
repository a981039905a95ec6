"""A model of the little of RabbitMQ that the store uses."""
