"""How Orderflow is run: the local servers, and settings for nginx and the other tools."""
