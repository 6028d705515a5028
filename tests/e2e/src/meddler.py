"""Between a domain controller and whoever asks it, with its key: it passes on what both say, except as the file of orders says.

Arguments: port, certificate, key, the file of orders. An order counts from the next message on:

pass        everything is passed on
stall       no answer arrives
half        of each question twenty objects arrive, and nothing more
torn        of each question twenty objects arrive, half of another, and the connection ends
drip        answers arrive octet by octet, slowly
numbers     answers have the number of another question
kinds       answers are of another kind
lengths     an answer has no end
noise       answers are random octets
references  questions are answered by references to other servers, without end
refer       questions are answered by a referral to the port in the second word
pages       a question by pages has no last one
cookie      DirSync does not know its cookie
hold        a modification waits until the order is another; then it is passed on
"""

import os
import socket
import ssl
import sys
import threading
import time

port, certificate, key, orders = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ours.load_cert_chain(certificate, key)
theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
theirs.check_hostname = False
theirs.verify_mode = ssl.CERT_NONE

BIND_DONE, SEARCH, ENTRY, DONE, MODIFY, REFERENCE = 0x61, 0x63, 0x64, 0x65, 0x66, 0x73
DIRSYNC, PAGES = b"1.2.840.113556.1.4.841", b"1.2.840.113556.1.4.319"
OBJECTS = 20


def order():
    try:
        with open(orders) as file:
            return (file.read().split() or ["pass"])
    except OSError:
        return ["pass"]


def length(octets):
    if len(octets) < 2:
        return None
    if octets[1] < 0x80:
        return 2 + octets[1]
    count = octets[1] & 0x7F
    if len(octets) < 2 + count:
        return None
    return 2 + count + int.from_bytes(octets[2 : 2 + count], "big")


def messages(stream):
    held = bytearray()
    while True:
        whole = length(held)
        while whole is None or len(held) < whole:
            more = stream.recv(65536)
            if not more:
                return
            held += more
            whole = length(held)
        yield bytes(held[:whole])
        del held[:whole]


def parts(message):
    """The number of a message, and the tag of what it says."""
    start = 2 if message[1] < 0x80 else 2 + (message[1] & 0x7F)
    end = start + 2 + message[start + 1]
    return message[start + 2 : end], message[end]


def value(tag, content):
    size = len(content)
    head = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + content


def answer(number, tag, content, controls=b""):
    return value(0x30, value(2, number) + value(tag, content) + controls)


def result(code, more=b""):
    return bytes([10, 1, code, 4, 0, 4, 0]) + more


class Passage:
    def __init__(self, connection):
        self.near = ours.wrap_socket(connection, server_side=True)
        self.far = theirs.wrap_socket(socket.create_connection(("127.0.0.1", 636)))
        self.lock = threading.Lock()
        threading.Thread(target=self.run, args=(self.questions,), daemon=True).start()
        self.run(self.answers)

    def run(self, way):
        try:
            way()
        except (OSError, ssl.SSLError):
            pass
        for stream in (self.near, self.far):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def say(self, octets):
        with self.lock:
            self.near.sendall(octets)

    def questions(self):
        for message in messages(self.near):
            number, tag = parts(message)
            now = order()
            what = now[0]
            if tag == SEARCH and what == "cookie" and DIRSYNC in message and not message.endswith(b"\x04\0"):
                self.say(answer(number, DONE, result(53)))
            elif tag == SEARCH and what == "refer":
                url = b"ldap://127.0.0.1:" + now[1].encode() + b"/DC=ad,DC=example,DC=test"
                self.say(answer(number, REFERENCE, value(4, url)))
                self.say(answer(number, DONE, result(10, value(0xA3, value(4, url)))))
            elif tag == SEARCH and what == "pages" and PAGES in message:
                control = value(0x30, value(4, PAGES) + value(4, value(0x30, value(2, b"\0") + value(4, b"next"))))
                self.say(answer(number, DONE, result(0), value(0xA0, control)))
            elif tag == SEARCH and what == "references":
                while order()[0] == what:
                    self.say(answer(number, REFERENCE, value(4, b"ldap://127.0.0.1/DC=ad,DC=example,DC=test")))
                return
            else:
                if tag == MODIFY and what == "hold":
                    with open(orders + ".held", "w"):
                        pass
                    while order()[0] == what:
                        time.sleep(0.02)
                self.far.sendall(message)

    def answers(self):
        objects = 0
        for message in messages(self.far):
            number, tag = parts(message)
            what = order()[0]
            objects = objects + 1 if tag == ENTRY else 0
            if what == "stall" or what == "half" and objects > OBJECTS:
                while order()[0] == what:
                    time.sleep(0.05)
                return
            if what == "torn" and objects > OBJECTS:
                self.say(message[: len(message) // 2])
                return
            if what == "drip":
                for octet in message:
                    self.say(bytes([octet]))
                    time.sleep(0.1)
                    if order()[0] != what:
                        return
                continue
            if what == "numbers":
                message = message.replace(value(2, number), value(2, b"\x63"), 1)
            elif what == "kinds" and tag in (DONE, BIND_DONE):
                message = answer(number, DONE if tag == BIND_DONE else BIND_DONE, result(0))
            elif what == "lengths":
                message = b"\x30\x84\x7f\xff\xff\xff" + message
            elif what == "noise":
                message = os.urandom(2048)
            self.say(message)


def passage(connection):
    try:
        Passage(connection)
    except (OSError, ssl.SSLError):
        connection.close()


listener = socket.create_server(("127.0.0.1", port))
print("listening", flush=True)
while True:
    threading.Thread(target=passage, args=(listener.accept()[0],), daemon=True).start()
