"""Run the example in a client's docstring."""

import ast
import asyncio
import doctest
import inspect


def run_example(client: type, url: str, model: str) -> None:
    """Run it against this server instead of the default one; top-level `await` is allowed, as in `asyncio`'s REPL."""
    (example,) = doctest.DocTestParser().get_examples(inspect.getdoc(client) or "")
    source = example.source.replace('"http://127.0.0.1:8501"', f"{url!r}, {model!r}")
    code = compile(source, client.__name__, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    pending = eval(code, {client.__name__: client})
    if pending is not None:
        asyncio.run(pending)
