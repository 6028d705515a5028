"""A logon with Kerberos by the system's GSS-API, as programs do it that are no mail programs of ours to install.

gss.py ADDRESS PORT HOST VERB MECHANISM [negotiate]

VERB is AUTH or X-EXPS; MECHANISM what is said after it. With `negotiate` the ticket is wrapped in SPNEGO, as .NET's
SmtpClient does under the name GSSAPI. GSS-SPNEGO has no security layers; GSSAPI chooses none (RFC 4752). Every line that
the server says is printed.
"""

import base64
import socket
import sys

import gssapi

address, port, host, verb, mechanism, *options = sys.argv[1:]
SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
KERBEROS = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")

stream = socket.create_connection((address, int(port)), timeout=60).makefile("rwb")


def hear():
    while True:
        line = stream.readline().decode().rstrip("\r\n")
        print(line, flush=True)
        if line[3:4] != "-":
            return line


def say(line):
    stream.write(line.encode() + b"\r\n")
    stream.flush()
    return hear()


def answer(token):
    return base64.b64encode(token or b"").decode()


def main():
    hear()
    say("EHLO client.test")
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"smtp@{host}", gssapi.NameType.hostbased_service),
        mech=SPNEGO if options else KERBEROS,
        usage="initiate",
        flags=gssapi.RequirementFlag.mutual_authentication,
    )
    reply = say(f"{verb} {mechanism} {answer(context.step())}")
    while reply.startswith("334") and not context.complete:
        reply = say(answer(context.step(base64.b64decode(reply[4:]))))
    if reply.startswith("334") and mechanism == "GSSAPI":
        layers = context.unwrap(base64.b64decode(reply[4:])).message
        print("layers", layers.hex(), flush=True)
        reply = say(answer(context.wrap(b"\x01\0\0\0", False).message))
    if reply.startswith("235"):
        say("MAIL FROM:<bob@ad.example.test>")
        say("QUIT")


main()
