"""One SMTP session by smtplib, told what to do by lines of JSON on standard input; one line of JSON answers each."""

import json
import smtplib
import ssl
import sys


def text(reply):
    code, message = reply
    return f"{code} " + message.decode("utf-8", "replace").replace("\n", " ")


def log_on(smtp, order):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    smtp.starttls(context=context)
    smtp.ehlo()
    smtp.user, smtp.password = order["login"], order["password"]
    mailbox = order.get("mailbox")
    try:
        if order["mechanism"] == "LOGIN":
            return text(smtp.auth("LOGIN", smtp.auth_login, initial_response_ok=False))
        if mailbox:
            answer = lambda challenge=None: f"{mailbox}\0{smtp.user}\0{smtp.password}"
            return text(smtp.auth("PLAIN", answer))
        return text(smtp.auth("PLAIN", smtp.auth_plain))
    except smtplib.SMTPAuthenticationError as refusal:
        return text((refusal.smtp_code, refusal.smtp_error))


def send(smtp, order):
    reply = smtp.mail(order["envelope"])
    for recipient in order["to"]:
        if reply[0] == 250:
            reply = smtp.rcpt(recipient)
    if reply[0] != 250:
        if reply[0] != 421:
            reset = smtp.docmd("RSET")
            # The session may end between the two.
            reply = reset if reset[0] == 421 else reply
        return text(reply)
    try:
        # As bytes, so that smtplib sends them as they are but for the line ends.
        return text(smtp.data(order["message"].replace("\n", "\r\n").encode("utf-8")))
    except smtplib.SMTPDataError as refusal:
        return text((refusal.smtp_code, refusal.smtp_error))


def send_to_whom_it_goes(smtp, order):
    """As most programs send: to those recipients that are accepted."""
    message = order["message"].replace("\n", "\r\n").encode("utf-8")
    refused = smtp.sendmail(order["envelope"], order["to"], message)
    return "; ".join(f"{recipient} {text(reply)}" for recipient, reply in refused.items())


def main():
    smtp = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            match order["do"]:
                case "connect":
                    # It raises an error for any greeting but 220.
                    smtp = smtplib.SMTP(order["host"], order["port"], local_hostname="client.test", timeout=60)
                    smtp.ehlo()
                    reply = "220"
                case "log on":
                    reply = log_on(smtp, order)
                case "send":
                    reply = send(smtp, order)
                case "send to whom it goes":
                    reply = send_to_whom_it_goes(smtp, order)
                case "command":
                    reply = text(smtp.docmd(order["line"]))
        except (smtplib.SMTPException, OSError) as fault:
            reply = f"closed: {fault}"
        print(json.dumps(reply), flush=True)


main()
