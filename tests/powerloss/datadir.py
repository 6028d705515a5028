"""A data directory and the server on it, for rounds of power failures that each begin with a copy of one organization."""

import os
import shutil
import socket
import subprocess
import time

from layer import Loss, bound


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """`root` is what the power failure befalls; `data`, in it or the same, is the server's."""

    def __init__(self, binary, work, log, data=""):
        self.binary, self.root, self.log = binary, work / "tree", log
        self.data, self.template = self.root / data, work / "template"
        self.port, self.process = free_port(), None

    def empty(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.data.mkdir(mode=0o700, parents=True)

    def keep(self):
        """Each fresh round begins with what is there now."""
        self.end()
        shutil.rmtree(self.template, ignore_errors=True)
        shutil.copytree(self.root, self.template)

    def fresh(self):
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.template, self.root)

    def start(self, environ=None):
        command = [self.binary, "serve", "--demo", "--data", str(self.data), "--client-listen", f"127.0.0.1:{self.port}",
                   "--internet-listen", f"127.0.0.1:{free_port()}"]
        self.process = subprocess.Popen(bound(command), stdout=self.log, stderr=self.log, env=environ)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def end(self):
        self.process.terminate()
        self.process.wait(60)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def command(self, *words, check=True):
        result = subprocess.run([self.binary, "--data", str(self.data), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=dict(os.environ, NO_COLOR="1"))
        if check and result.returncode != 0:
            raise Loss(f"procura {' '.join(words)}: {result.stdout}{result.stderr}")
        return result

    def fail(self, before, work, mode, seed):
        """The power failed: the tree becomes what `before`, the journal since then, says is left. What was lost."""
        before.read()
        if before.faults:
            raise SystemExit("the layer cannot model this: " + "; ".join(before.faults[:5]))
        shutil.rmtree(work / "after", ignore_errors=True)
        lost = before.build(str(work / "after"), mode, seed)
        # A command of an administrator may be at its end still.
        while self.root.exists():
            shutil.rmtree(self.root, ignore_errors=True)
        os.rename(work / "after", self.root)
        return lost
