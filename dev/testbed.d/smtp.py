"""The testbed's mail server: smtp.py FOLDER PLAIN-PORT STARTTLS-PORT TLS-PORT

Every message becomes FOLDER/mail/RECIPIENT/NUMBER.eml, written whole. The first letters of a
recipient say how the server behaves: later… is told 451 for ever, laterN… the first N times,
never… is told 550, hang… is never answered.
"""

import asyncio
import collections
import itertools
import os
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FOLDER = sys.argv[1]
PLAIN, STARTTLS, TLS = map(int, sys.argv[2:5])
with open(os.path.join(FOLDER, "password"), encoding="utf-8") as file:
    PASSWORD = file.read().strip().encode()
NUMBERS = itertools.count(1)
ASKED = collections.Counter()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        ASKED[address] += 1
        later = re.match(r"later(\d*)", address)
        if later and (not later[1] or ASKED[address] <= int(later[1])):
            return "451 4.3.0 come back later"
        if address.startswith("never"):
            return "550 5.1.1 nobody of that name is here"
        if address.startswith("hang"):
            await asyncio.sleep(86_400)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            folder = os.path.join(FOLDER, "mail", address.replace("/", "_"))
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, f"{next(NUMBERS):06}.eml")
            with open(path + ".new", "wb") as file:
                file.write(envelope.original_content)
            os.rename(path + ".new", path)
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == b"timesweep" and data.password == PASSWORD
    return AuthResult(success=ok, handled=False)


async def main():
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.path.join(FOLDER, "server.pem"), os.path.join(FOLDER, "server.key"))
    common = {"hostname": "localhost", "enable_SMTPUTF8": True}
    secured = common | {"authenticator": login, "auth_required": True}
    handler = Handler()
    servers = [
        await loop.create_server(lambda: SMTP(handler, **common), "127.0.0.1", PLAIN),
        await loop.create_server(
            lambda: SMTP(handler, tls_context=context, require_starttls=True, **secured), "127.0.0.1", STARTTLS
        ),
        await loop.create_server(
            lambda: SMTP(handler, auth_require_tls=False, **secured), "127.0.0.1", TLS, ssl=context
        ),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
