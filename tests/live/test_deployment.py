"""Every command of docs/deployment.md starts a server that serves a stream of the SDK and a health check."""

import re
import shlex
import socket
import sys
from pathlib import Path

import httpx
import openai
import pytest

from tests.support.servers import ROOT, server_process

PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
COMMANDS = re.findall(r"^```sh\n(.*)\n```$", PAGE, re.MULTILINE)
STARTED = r"(?i)startup complete|application started|booting worker|started worker|running on|serving on"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:3]))
def test_command_of_the_page_serves(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program, *arguments = shlex.split(command.replace("8000", str(port)))
    with server_process([Path(sys.executable).parent / program, *arguments], STARTED, cwd=ROOT) as server:
        if program == "granian":
            server.wait_until_ready("Started worker")  # the second one: while it begins, nothing stops it
        transport = httpx.HTTPTransport(retries=8)  # some say that they run a moment before they listen
        with httpx.Client(transport=transport, timeout=30) as http_client:
            assert http_client.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
        with client, client.responses.stream(model="m", input="Good morning to you") as stream:
            assert stream.get_final_response().output_text == "Good morning to you "


def test_page_has_a_command_for_each_server() -> None:
    servers = {command.split()[0] for command in COMMANDS}
    assert servers == {"uvicorn", "gunicorn", "granian", "hypercorn", "waitress-serve"}
