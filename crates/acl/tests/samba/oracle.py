"""Samba's access check on lines of text, for the differential test beside it.

D HEX       the descriptor that the following checks are about
T SID,SID…  the token
C MASK      one check: prints the granted mask, or - when it is denied
"""

import sys

from samba import NTSTATUSError
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.security import access_check


def main():
    descriptor = token = None
    out = []
    for line in sys.stdin:
        kind, _, value = line.rstrip("\n").partition(" ")
        if kind == "C":
            try:
                out.append(str(access_check(descriptor, token, int(value))))
            except NTSTATUSError:
                out.append("-")
        elif kind == "T":
            token = security.token()
            sids = [security.dom_sid(sid) for sid in value.split(",")]
            token.sids = sids
            token.num_sids = len(sids)
        else:
            descriptor = ndr_unpack(security.descriptor, bytes.fromhex(value))
    sys.stdout.write("\n".join(out) + "\n")


main()
