"""Jobs on many hosts: three processes on one machine, and a PostgreSQL or a RabbitMQ of the demo's own."""
