"""Jobs on RabbitMQ, on one machine: a server of the demo's own, three worker processes and one host."""
