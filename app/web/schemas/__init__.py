"""What answers look like, as models: they make the schemas of the OpenAPI document.

No answer goes through them at run time; `rendering` and the views make dictionaries. The tests hold
every answer they see against the document (`tests/openapi.py`), so neither can say something else.
"""
