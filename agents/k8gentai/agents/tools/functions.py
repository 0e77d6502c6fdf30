"""Python functions as tools: the docstring and the annotations say all that a model has to know."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import docstring_parser
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic_core import ArgsKwargs

from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.turn import AgentLoadError, DeclaredTool, ToolFailedError
from k8gentai.agents.resources.agent import ToolTerms
from k8gentai.agents.text.json_text import json_text
from k8gentai.agents.tools.images import text_without_images


def function_tool(entry: ToolTerms, reference: str) -> DeclaredTool:
    """Import a function and describe it.

    Args:
        entry: the definition's word on it.
        reference: ``package.module:function``.

    Raises:
        AgentLoadError: it cannot be imported, is no function, or has parameters that no model can fill in.
    """
    function: Any = load_object(reference)
    if not inspect.isroutine(function):
        raise AgentLoadError(f"{reference} is a {type(function).__name__}, not a function")
    try:
        arguments: TypeAdapter[Any] = TypeAdapter(function)
        schema = arguments.json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, NameError) as error:
        raise AgentLoadError(f"{reference}: its parameters have no JSON schema: {_first_line(error)}") from error
    if schema.get("type") != "object":
        raise AgentLoadError(f"{reference}: a model names its arguments, so none may be positional only")
    text, described = _read_docstring(inspect.getdoc(function) or "")
    for name, shape in schema.get("properties", {}).items():
        shape.pop("title", None)
        if name in described:
            shape.setdefault("description", described[name])
    return DeclaredTool(
        name=entry.name,
        description=entry.description or text or entry.name,
        parameters={"properties": {}, **schema},
        call=_caller(function, arguments),
        policy=entry,
    )


def _caller(
    function: Callable[..., Any], adapter: TypeAdapter[Any]
) -> Callable[[dict[str, Any]], Coroutine[Any, Any, str]]:
    def begin(arguments: dict[str, Any]) -> Any:
        """Check the arguments and call the function. What it gives may have to be awaited."""
        try:
            return adapter.validate_python(ArgsKwargs((), arguments))
        except ValidationError as error:
            raise ToolFailedError(_refused(error)) from error
        except BaseException as error:
            if (stand_in := contained_in_thread(error)) is error:
                raise
            raise ToolFailedError(f"the tool raised {stand_in}") from error

    async def call(arguments: dict[str, Any]) -> str:
        # Whether it blocks is not known of a plain function.
        waiting = inspect.iscoroutinefunction(function)
        result = begin(arguments) if waiting else await asyncio.to_thread(begin, arguments)
        return _as_text(await result if inspect.isawaitable(result) else result)

    return call


def _as_text(result: object) -> str:
    if result is None or isinstance(result, str):
        return result or ""
    shown = text_without_images(result)
    return json_text(result) if shown is None else shown


def _refused(error: ValidationError) -> str:
    faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
    return "the arguments do not fit: " + "; ".join(faults)


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return what a docstring says of the function before its first section, and of each of its arguments."""
    try:
        read = docstring_parser.parse(text)
    except Exception:  # noqa: BLE001 - it falls over some texts that look like one of its styles
        return " ".join(text.split()), {}
    described = {each.arg_name: " ".join((each.description or "").split()) for each in read.params}
    return " ".join((read.description or "").split()), described


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
