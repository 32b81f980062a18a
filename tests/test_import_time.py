"""What it costs to import the package and to build a middleware, each time in a fresh interpreter."""

import json
import subprocess
import sys
from typing import Any

import pytest

from openai_middleware.contract import shipped

SDK_AND_FRAMEWORKS = {"openai", "starlette", "fastapi", "django", "flask", "werkzeug", "uvicorn", "httpx", "httpx2"}


def run(code: str) -> Any:
    """What a program prints, which is JSON."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("driver", ["OpenAIMiddleware", "OpenAIWSGIMiddleware"])
def test_a_middleware_of_all_groups_is_built_without_the_sdk_and_without_a_framework(driver: str) -> None:
    modules = run(f"""if True:
        import json, sys
        from openai_middleware import {driver}
        {driver}(print, prefix="/v1")
        print(json.dumps(list(sys.modules)))
    """)

    imported = {name.partition(".")[0] for name in modules}
    assert "openai_middleware" in imported
    assert not imported & SDK_AND_FRAMEWORKS
    # What only some configurations need.
    assert "jsonpath" not in imported


TIMES = """if True:
    import json
    from time import perf_counter as now

    begun = now()
    from pydantic import BaseModel
    has_pydantic = now()
    from openai_middleware import OpenAIMiddleware
    from openai_middleware.contract import shipped
    has_package = now()
    OpenAIMiddleware(print, prefix="/v1")
    built = now()
    assert len(shipped().operation_names()) == 150
    print(json.dumps([has_pydantic - begun, built - has_package]))
"""


def test_loading_the_contract_and_building_all_groups_takes_less_than_twice_as_long_as_importing_pydantic() -> None:
    """The best of some runs counts: what else the machine does is no part of the cost."""
    importing, building = zip(*(run(TIMES) for _ in range(5)), strict=True)

    assert min(building) < 2 * min(importing)


DECODED = """if True:
    import json
    from openai_middleware import OpenAIMiddleware
    from openai_middleware.contract import shipped

    OpenAIMiddleware(print, {groups}, prefix="/v1")
    contract = shipped()
    print(json.dumps([list(contract._operations), list(contract._schemas), list(contract._streams)]))
"""


@pytest.mark.parametrize("groups", [["chat_completions", "responses"], ["models"], []])
def test_building_with_some_groups_decodes_nothing_of_the_others(groups: list[str]) -> None:  # C2
    operations, schemas, streams = run(DECODED.format(groups=groups))

    fields = [operation.fields for group in groups for operation in shipped().operations(group)]
    assert sorted(operations) == groups
    assert len(schemas) == len({id(one) for one in fields if one})
    assert streams == [], "a stream is decoded for its first request"
