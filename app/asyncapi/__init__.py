"""The events as AsyncAPI 3: what services tell each other through Kafka."""
