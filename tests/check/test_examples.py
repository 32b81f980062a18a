"""The check finds nothing wrong with the examples: the demo, functions that reply, the legacy app behind rewrites.

They take the way that pytest takes. Django is configured once in a process, so that there are two.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TEXT = ["chat.completions.create", "responses.create"]
REPLIES = [*TEXT, "completions", "models"]
DESK: dict[str, object] = {"api_key": "token-of-ada", "only": REPLIES}

PROGRAMS: dict[str, dict[str, dict[str, object]]] = {
    "all but Django's": {
        "ask_docs:app": {},  # which has a store
        "store_starlette:app": {"api_key": "sk-ada", "only": [*REPLIES, "conversations"]},
        "legacy_fastapi:app": DESK,
        "legacy_flask:app": DESK,
        "bridge:app": {"only": REPLIES},
        "replies:app": {"only": REPLIES},
        "reply_behind:app": {"only": REPLIES},
        "reply_fastapi:app": {"only": REPLIES, "api_key": "sk-ada"},
        "reply_models:app": {"only": [*REPLIES, "embeddings"]},
        "reply_stream:app": {"only": REPLIES},
        "reply_structured:app": {"only": REPLIES},
        "reply_tools:app": {"only": REPLIES},
        # These answer with text whatever they are asked for.
        **{f"reply_text:{name}_app": {"only": TEXT} for name in ("fastapi", "flask", "django", "asgi", "wsgi")},
    },
    "Django's": {"legacy_django:application": DESK},
}
PROGRAM = """if True:
    import json, sys
    from unittest import SkipTest

    from uvicorn.importer import import_from_string

    from openai_middleware.testing import check

    told = {}
    for name, settings in json.loads(sys.argv[1]).items():
        told[name] = {"ok": [], "broken": []}
        for case in check(import_from_string(name), **settings):
            try:
                case()
            except SkipTest:
                continue
            except AssertionError as error:
                told[name]["broken"].append(str(error))
            else:
                told[name]["ok"].append(str(case))
    print(json.dumps(told))
"""


@pytest.mark.parametrize("group", PROGRAMS)
def test_nothing_is_wrong_with_the_examples(group: str) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(PROGRAMS[group])]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.keys() == PROGRAMS[group].keys()
    for name, cases in told.items():
        assert cases["broken"] == [], name
        for operation in ("chat.completions.create", "responses.create"):
            assert {f"{operation}: stream helper", f"{operation}: errors"} <= set(cases["ok"]), name
