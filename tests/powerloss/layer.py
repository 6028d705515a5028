"""Runs programs under layer.c."""

import json
import os
import subprocess
import threading
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


class Loss(Exception):
    pass


class Lines:
    """Reads the promises of a process as they come."""

    def __init__(self, stream):
        self.lines = []
        self.first = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.thread.start()

    def _read(self, stream):
        for line in stream:
            if line.endswith("\n"):
                self.lines.append(line.split())
                if line.startswith("ACK"):
                    self.first.set()

    def all(self):
        self.thread.join()
        return self.lines


def bound(command):
    """A command that is killed when this process ends, however it ends."""
    return ["setpriv", "--pdeathsig", "KILL", *map(str, command)]


def build(work):
    layer = work / "layer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", layer, HERE / "layer.c", "-ldl", "-lpthread"], check=True)
    return layer


def example(package, name):
    """Builds an example of a crate, with its fail points; its path."""
    command = ["cargo", "build", "-p", package, "--example", name, "--features", "failpoints", "--message-format=json"]
    answer = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    for line in answer.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    raise RuntimeError(f"cargo did not say where {name} is")


def environment(layer, root, journal, point=None, ignore=None):
    result = dict(os.environ, LD_PRELOAD=str(layer), POWERLOSS_ROOT=str(root), POWERLOSS_JOURNAL=str(journal))
    result.pop("PROCURA_FAILPOINT", None)
    if point:
        result["PROCURA_FAILPOINT"] = point
    if ignore:
        result["POWERLOSS_IGNORE"] = ignore
    return result
