"""The services: one file a participant, each opening with what it consumes and produces."""
