"""The built site in a browser, at the width of a desk and of a phone: nothing scrolls sideways, nothing is cut off.

Run by `make test-site`, which builds the site; it needs Chromium (Debian: apt install chromium).
"""

import json
import os
import shutil
import subprocess
import threading
from concurrent.futures import Future
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "site"
PAGES = sorted(file.with_suffix(".html").name for file in (ROOT / "docs").glob("*.md"))
WIDTHS = (1280, 390)


class Site(SimpleHTTPRequestHandler):
    """Serves the site, and the page that measures it."""

    measured: Future[list[dict[str, Any]]]

    def do_GET(self) -> None:
        if self.path == "/measure":
            self._send("text/html", Path(__file__).with_name("measure.html").read_bytes())
        elif self.path == "/measure/tasks":
            tasks = [(page, width) for page in PAGES for width in WIDTHS]
            self._send("application/json", json.dumps(tasks).encode())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.measured.set_result(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send("text/plain", b"")

    def _send(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], dict[str, Any]]:
    """What was measured of each page at each width."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is needed to look at the site. On Debian: apt install chromium"
    assert SITE.is_dir(), "The site is not built. Run: make docs"
    Site.measured = Future()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        options = ["--headless", "--disable-gpu", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
        options += ["--window-size=1400,1000", "--hide-scrollbars", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        command = [chromium, *options, f"http://127.0.0.1:{server.server_port}/measure"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found = Site.measured.result(timeout=300)
        finally:
            browser.terminate()
            browser.wait(30)
            server.shutdown()
            thread.join()
    return {(page["path"], page["width"]): page for page in found}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page_fits_its_window(page: str, width: int, measured: dict[tuple[str, int], dict[str, Any]]) -> None:
    seen = measured[page, width]
    assert (seen["pageWidth"], seen["clipped"], seen["hiddenNames"]) == (width, [], [])
