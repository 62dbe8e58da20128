"""Run the example in a client's docstring."""

import ast
import asyncio
import doctest
import inspect
from typing import Any


def run_example(documented: Any, url: str, model: str, **names: Any) -> None:
    """Run it against this server instead of the default one; top-level `await` is allowed, as in `asyncio`'s REPL.

    Args:
      names: what the example uses besides the class itself.
    """
    (example,) = doctest.DocTestParser().get_examples(inspect.getdoc(documented) or "")
    source = example.source.replace('"http://127.0.0.1:8501"', f"{url!r}, {model!r}")
    code = compile(source, documented.__name__, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    pending = eval(code, {documented.__name__: documented, **names})
    if pending is not None:
        asyncio.run(pending)
