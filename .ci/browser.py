"""A real browser for the checks: Chromium, by the WebDriver protocol."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20


def wait_for(what, ask):
    """The first true answer; only a failing test waits long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.01)
    sys.exit(f"in vain: {what}")


class Browser:
    """Chromium, by the WebDriver protocol."""

    def __init__(self, driver, profile, pictures, javascript=True, size=(1280, 1000)):
        self.pictures = pictures
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", f"--user-data-dir={profile}",
                 f"--window-size={size[0]},{size[1]}"]
        options = {"args": flags, "binary": shutil.which("chromium")}
        if not javascript:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL"}}
        self.base = driver
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base = f"{driver}/session/{made['sessionId']}"

    def call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as e:
            sys.exit(f"{method} {path}: {e.read().decode()[:600]}")

    def open(self, address):
        self.call("POST", "/url", {"url": address})

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def text(self, id_):
        return self.run("return document.getElementById(arguments[0]).innerText", id_)

    def find(self, id_):
        found = self.call("POST", "/element", {"using": "css selector", "value": f"#{id_}"})
        return next(iter(found.values()))

    def type(self, id_, text):
        self.call("POST", f"/element/{self.find(id_)}/value", {"text": text})

    def press(self, key, times=1):
        codes = {"Left": "\ue012", "Right": "\ue014", "PageUp": "\ue00e", "PageDown": "\ue00f",
                 "Home": "\ue011", "End": "\ue010", "Space": " ", "Tab": "\ue004"}
        actions = [{"type": t, "value": codes[key]} for _ in range(times) for t in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def devtools(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, name):
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        log = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def close(self):
        self.call("DELETE", "")


@contextmanager
def chromedriver():
    process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        for line in process.stdout:
            if "started successfully on port" in line:
                port = line.rstrip().rstrip(".").split()[-1]
                break
        else:
            sys.exit("chromedriver does not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
