"""Go's text/template as Loki offers it in `line_format` and `label_format`.

Strings are bytes inside, as in Go, and `str` with `surrogateescape` outside. The local time zone is UTC. What one
rendering may cost is bounded: see `limits`. Complex numbers are left out.
"""

from log_aggregator.logql.template.compiled import Field, Template, compile_template
from log_aggregator.logql.template.errors import TemplateError, TemplateRuntimeError

__all__ = ["Field", "Template", "TemplateError", "TemplateRuntimeError", "compile_template"]
