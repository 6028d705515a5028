"""The whole server under load: acknowledged by SMTP, delivered to Maildir."""

import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import smtplib
import socket
import socketserver
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import replay
from layer import bound, environment

HERE = Path(__file__).resolve().parent


def arguments(parser):
    group = parser.add_argument_group("a whole server")
    group.add_argument("--server", help="command that runs it in the foreground; {root} is the data directory")
    group.add_argument("--smtp", default="127.0.0.1:2525", help="address where it accepts mail from anybody for --rcpt")
    group.add_argument("--maildir", default="{root}/mail", help="directory below which messages appear in …/new")
    group.add_argument("--rcpt", action="append", default=[], help="a recipient with a mailbox of its own (repeat)")
    group.add_argument("--sender", default="sender@outside.test")
    group.add_argument("--points", action="store_true", help="also kill at every fail point (server built with queue/failpoints)")
    group.add_argument("--sessions", type=int, default=8)
    group.add_argument("--relay", type=int, help="port of a host that takes what the server relays: recipients there count as delivered when it has taken them")
    group.add_argument("--prepare", help="command that makes the data directory {root} before a first round")
    group.add_argument("--patience", type=float, default=60, help="seconds in which everything has to be delivered")


def lines_of(name, count):
    return [hashlib.sha256(f"{name} {number}".encode()).hexdigest() for number in range(count)]


class Load:
    """Sessions that send until the server is gone."""

    def __init__(self, options, seed):
        self.options, self.seed = options, seed
        self.acknowledged = {}
        self.stop = threading.Event()
        self.first = threading.Event()
        self.threads = [threading.Thread(target=self._session, args=(number,), daemon=True) for number in range(options.sessions)]
        for thread in self.threads:
            thread.start()

    def _session(self, session):
        chance = random.Random(f"{self.seed} {session}")
        host, port = self.options.smtp.rsplit(":", 1)
        number = 0
        while not self.stop.is_set():
            try:
                with smtplib.SMTP(host, int(port), local_hostname="load.test", timeout=10) as client:
                    for _ in range(chance.randint(1, 20)):
                        if self.stop.is_set():
                            return
                        number += 1
                        self._send(client, f"{self.seed}-{session}-{number}", chance)
            except (smtplib.SMTPException, OSError):
                time.sleep(0.02)

    def _send(self, client, name, chance):
        count = 20_000 if chance.random() < 0.01 else chance.choice([1, 10, 150])
        recipients = chance.sample(self.options.rcpt, chance.randint(1, min(2, len(self.options.rcpt))))
        head = f"From: <{self.options.sender}>\r\nTo: <{recipients[0]}>\r\nSubject: {name}\r\nX-Powerloss: {name} {count}\r\n\r\n"
        text = head + "".join(line + "\r\n" for line in lines_of(name, count))
        refused = client.sendmail(self.options.sender, recipients, text)
        self.acknowledged[name] = set(recipients) - set(refused)
        self.first.set()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(15)


class Relay(socketserver.ThreadingTCPServer):
    """The next hop: counts what it takes, and now and then puts a message off or goes without an answer."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port, seed):
        super().__init__(("127.0.0.1", port), RelaySession)
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.forget()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def forget(self):
        self.copies, self.wrong = Counter(), []

    def mood(self):
        with self.lock:
            return self.chance.random()

    def seen(self):
        with self.lock:
            return self.copies.copy(), list(self.wrong)

    def take(self, text, recipients):
        match, problem = examine(text)
        with self.lock:
            if problem:
                self.wrong.append(f"relayed: {problem}")
            elif match:
                self.copies.update((match, recipient) for recipient in recipients)

    def handle_error(self, request, address):
        pass  # the server was killed in the middle


class RelaySession(socketserver.StreamRequestHandler):
    def handle(self):
        def say(line):
            self.wfile.write(line + b"\r\n")

        say(b"220 relay.test")
        recipients = []
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                say(b"250-relay.test\r\n250 PIPELINING")
            elif verb == b"RCPT":
                recipients.append(re.search(rb"<([^>]*)>", line).group(1).decode())
                say(b"250 ok")
            elif verb == b"DATA":
                say(b"354 go on")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    if not line:
                        return
                    lines.append(line[1:] if line.startswith(b".") else line)
                mood = self.server.mood()
                if mood < 0.03:
                    say(b"451 4.3.0 not now")
                elif mood < 0.05:
                    return
                else:
                    self.server.take(b"".join(lines), recipients)
                    say(b"250 taken")
                recipients = []
            elif verb == b"QUIT":
                say(b"221 bye")
                return
            else:
                recipients = [] if verb in (b"MAIL", b"RSET") else recipients
                say(b"250 ok")


class Server:
    def __init__(self, options, root, log, environ=None):
        command = shlex.split(options.server.replace("{root}", str(root)))
        self.options = options
        self.process = subprocess.Popen(bound(command), stdout=log, stderr=log, env=environ)

    def ready(self, patience=30):
        """Waits for the port; false if the process ended."""
        host, port = self.options.smtp.rsplit(":", 1)
        until = time.monotonic() + patience
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit("the server does not end when it is told to")


def examine(text):
    """The name of a message of the load, and what is wrong with it."""
    text = text.replace(b"\r\n", b"\n").decode("utf-8", "replace")
    head, _, body = text.partition("\n\n")
    match = re.search(r"^X-Powerloss: (\S+) (\d+)$", head, re.M)
    if not match:
        return None, None
    name, count = match.group(1), int(match.group(2))
    if body.split("\n")[:-1] != lines_of(name, count):
        return name, f"{name}: {len(body)} octets that are not what was accepted"
    return name, None


def delivered(maildir, examined=None):
    """Copies of each message in each mailbox, which is named as the link that leads to it, and what is wrong with any.
    `examined` remembers what is known of files that were there the last time."""
    examined = {} if examined is None else examined
    copies, wrong = Counter(), []
    addresses = {os.readlink(link): link.name for link in Path(maildir).glob("*") if link.is_symlink()}
    for place, folders, files in os.walk(maildir):
        mailbox, last = os.path.split(place)
        if last != "new":
            continue
        mailbox = os.path.basename(mailbox)
        mailbox = addresses.get(mailbox, mailbox)
        for file in files:
            path = os.path.join(place, file)
            if path not in examined:
                examined[path] = examine(Path(path).read_bytes())
            name, problem = examined[path]
            if problem:
                wrong.append(f"{file}: {problem}")
            if name:
                copies[name, mailbox] += 1
    return copies, wrong


def run(options, work, layer, log):
    if not options.rcpt:
        raise SystemExit("--rcpt is missing")
    root, journal, shadow = work / "tree", work / "journal", work / "shadow"
    points = re.findall(r'"([a-z_]+\.[a-z_]+)"', (HERE.parents[1] / "crates/queue/src/failpoint.rs").read_text()) if options.points else []
    chance = random.Random(options.seed)
    plan = [None] * options.rounds + [f"{point}:{nth}" for point in points for nth in (1, 7)]
    chance.shuffle(plan)
    acknowledged, total, again, known = {}, 0, 0, Counter()
    relay = Relay(options.relay, options.seed) if options.relay else None
    for number, point in enumerate(plan):
        if number % 4 == 0:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            if options.prepare:
                subprocess.run(shlex.split(options.prepare.replace("{root}", str(root))), check=True, stdout=log, stderr=log)
            acknowledged, known = {}, Counter()
            if relay:
                relay.forget()
        maildir = Path(options.maildir.replace("{root}", str(root)))
        mode = chance.choice(["lose", "random"])
        journal.unlink(missing_ok=True)
        before = replay.Journal(str(root), str(journal), str(shadow))
        server = Server(options, root, log, environment(layer, root, journal, point))
        early = not point and chance.random() < 0.2
        if early:
            time.sleep(chance.uniform(0, 1.5))
            server.kill()
            load = None
        else:
            load = Load(options, f"{options.seed}r{number}")
            if point:
                try:
                    server.process.wait(20)
                except subprocess.TimeoutExpired:
                    pass
            else:
                load.first.wait(30)
                time.sleep(chance.uniform(0, 2))
            reached = server.process.poll() is not None
            server.kill()
            load.end()
            acknowledged.update(load.acknowledged)
            total += len(load.acknowledged)
        before.read()
        if before.faults:
            raise SystemExit("the layer cannot model this: " + "; ".join(before.faults[:5]))
        shutil.rmtree(work / "after", ignore_errors=True)
        lost = before.build(str(work / "after"), mode, f"{options.seed} {number}")
        shutil.rmtree(root)
        os.rename(work / "after", root)

        server = Server(options, root, log)
        if not server.ready():
            server.kill()
            print(f"round {number} ({mode}, {point}): the server does not start after the failure; see {work}/log")
            return 1
        until, examined, anew = time.monotonic() + options.patience, {}, True
        while True:
            copies, wrong = delivered(maildir, examined)
            if relay:
                taken, problems = relay.seen()
                copies, wrong = copies + taken, wrong + problems
            missing = [(name, recipient) for name, promised in acknowledged.items() for recipient in promised
                       if not copies[name, recipient]]
            wrong += [f"{name} came to {place}" for name, place in copies if place not in acknowledged.get(name, options.rcpt)]
            if wrong or time.monotonic() > until or not missing and anew:
                break
            # As soon as all seems to be there, every file is looked at once more.
            anew = not missing
            if anew:
                examined = {}
            else:
                time.sleep(0.2)
        server.end()
        if missing or wrong:
            print(f"round {number} ({mode}, {point}): LOSS: {len(missing)} recipients of {len(acknowledged)} acknowledged messages did "
                  f"not get them, such as {missing[:3]}; damaged or misplaced: {wrong[:3]}; what is left: {work}")
            return 1
        twice = {name for (name, _), count in copies.items() if count > 1} - set(known)
        known.update(twice)
        again += len(twice)
        what = point or ("early" if early else "random time")
        if point and not reached:
            what += " (not reached)"
        print(f"round {number:3} {mode:6} {what:36} {len(load.acknowledged) if load else 0:5} acknowledged, lost {lost['changes']} writes, "
              f"{lost['pages']} pages, {lost['names']} names; all delivered, {len(twice)} twice", flush=True)
    print(f"{len(plan)} rounds: {total} messages acknowledged, all delivered to all their recipients and nobody else, none damaged. Delivered twice: {again}"
          + (", each killed between its delivery and the durable outcome." if again else "."))
    return 0
