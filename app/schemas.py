"""JSON schemas of pydantic models, as the reference has them."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

# As a pattern: a text that is not blank and has no control characters.
SPACES = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
CONTROLS = r"\u0000-\u001f\u007f-\u009f"
PRINTABLE = {"pattern": f"^[^{CONTROLS}]*[^{CONTROLS}{SPACES}][^{CONTROLS}]*$"}


class Schemas(GenerateJsonSchema):
    """Schemas without what says nothing: titles of fields, and null as the default of what can't be
    null."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a field's name says it."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default of None means that the field may be left out."""
        if "default" in schema and schema["default"] is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)
