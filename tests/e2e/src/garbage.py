"""A server where a domain controller should be, with its key: what it says is no use. Arguments: port, certificate, key, mode."""

import os
import socket
import ssl
import sys
import threading

port, certificate, key, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


def message(number, tag, content):
    body = bytes([2, 1, number, tag, len(content)]) + content
    return bytes([0x30, len(body)]) + body


def result(code, more=b""):
    return bytes([10, 1, code, 4, 0, 4, 0]) + more


def serve(connection):
    number = 0
    try:
        stream = context.wrap_socket(connection, server_side=True)
        while stream.recv(65536):
            number += 1
            if mode == "random":
                stream.sendall(os.urandom(4096))
            elif mode == "endless":
                stream.sendall(b"\x30\x84\x7f\xff\xff\xff" + b"\0" * 4096)
            elif mode == "referral":
                tag = 0x61 if number == 1 else 0x65
                stream.sendall(message(number, tag, result(10, b"\xa3\x0c\x04\x0aldap://dc9")))
            elif mode == "empty":
                # Everything succeeds, and nothing is there.
                stream.sendall(message(number, 0x61 if number == 1 else 0x65, result(0)))
            elif mode == "other":
                stream.sendall(message(99, 0x61, result(0)))
    except (OSError, ssl.SSLError):
        pass


listener = socket.create_server(("127.0.0.1", port))
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
