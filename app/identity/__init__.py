"""Who asks, and who may: what gateway and workers have in common. Without Faust or any store.

| module        | holds |
| principal.py  | a verified identity, and the roles |
| bearer.py     | how tokens come in requests, and how they are asked for |
| tokens.py     | verifying JSON Web Tokens, and making them in development |
| jwks.py       | an identity provider's public keys |
| passing.py    | how the gateway says to a worker who asks |
| policy.py     | who may call what |
| configured.py | all of it from the settings |
"""

from app.identity.principal import EVERYBODY, Principal, Role

__all__ = ["EVERYBODY", "Principal", "Role"]
