"""WHAT IS TRUE, ON MANY MACHINES. The store that keeps its truth in the durable queues of a RabbitMQ."""
