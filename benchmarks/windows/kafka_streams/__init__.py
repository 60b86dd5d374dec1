"""The windows job in Java, on Kafka Streams."""
