"""Real servers without Docker: `python -m infra.local up`, and `infra.local.testing` for tests."""
