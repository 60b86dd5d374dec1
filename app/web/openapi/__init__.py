"""The OpenAPI document of the worker, declared from the models of requests and answers.

| module       | holds |
| operation.py | what a description of an operation is made of |
| shared.py    | parameters, headers and answers that many operations have |
| worker.py    | the table: what each route of a worker takes and answers |
| analytics.py | its part for the analytics |
| operating.py | its part for topics, groups and dead letters |
| health.py    | its part for supervisors and readers |
| document.py  | the document that a table makes |

`python -m infra.reference` writes it; a worker only hands out the file (`app.reference`).
"""
