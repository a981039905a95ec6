"""The only files that know pika."""
