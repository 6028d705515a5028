"""Sends one message by aiosmtplib, as the JSON on standard input says; prints the reply that decided."""

import asyncio
import json
import sys

import aiosmtplib


def text(code, message):
    return f"{code} " + message.replace("\n", " ")


async def send(order):
    smtp = aiosmtplib.SMTP(hostname="127.0.0.1", port=order["port"], start_tls=False, local_hostname="client.test")
    await smtp.connect()
    try:
        if order["login"]:
            await smtp.starttls(validate_certs=False)
            await smtp.ehlo()
            log_on = smtp.auth_login if order["mechanism"] == "LOGIN" else smtp.auth_plain
            await log_on(order["login"], order["password"])
        message = order["message"].replace("\n", "\r\n").encode()
        plain = order["envelope"].isascii() and all(recipient.isascii() for recipient in order["to"])
        options = [] if plain else ["SMTPUTF8"]
        _, reply = await smtp.sendmail(order["envelope"], order["to"], message, mail_options=options)
        return "250 " + reply
    except aiosmtplib.SMTPRecipientsRefused as refused:
        return text(refused.recipients[0].code, refused.recipients[0].message)
    except aiosmtplib.SMTPResponseException as refused:
        return text(refused.code, refused.message)
    finally:
        smtp.close()


print(asyncio.run(send(json.load(sys.stdin))))
