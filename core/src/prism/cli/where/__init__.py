"""The grammar of `--where`: one clause of a filter as it is typed in a shell. Imports filters and model alone."""

from prism.cli.where.clause import parse_where, parse_wheres
from prism.cli.where.scan import WhereError

__all__ = ["WhereError", "parse_where", "parse_wheres"]
