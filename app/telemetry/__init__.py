"""What a process tells of its work: lines of its log, and spans of the traces it takes part in.

| module     | holds |
| lines.py   | a record of `logging` as one line: JSON, or text for a terminal |
| setup.py   | how a process's logging is made to write such lines |
| worker.py  | a Faust worker that does |
| context.py | W3C trace context: a place in a trace, and the place below it |
| spans.py   | the spans of a process, on their way to OpenTelemetry's exporters |
| files.py   | an exporter that writes spans to a file |
| sending.py | the spans of records that are sent |
| chunks.py  | the spans of records that are handled in chunks |

docs/tracing.md shows what comes of it.
"""
