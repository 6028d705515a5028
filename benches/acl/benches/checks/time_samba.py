"""Times Samba's access check, called from Python, on descriptors and tokens that the benchmark hands over.

Lines: D HEX, T SID,SID…; then every descriptor is checked with every token. Prints p50 and p99 in nanoseconds; the call
from Python (about 1 µs) is part of it.
"""

import sys
from time import perf_counter_ns

from samba import NTSTATUSError
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.security import access_check

descriptors, tokens = [], []
for line in sys.stdin:
    kind, value = line.split()
    if kind == "D":
        descriptors.append(ndr_unpack(security.descriptor, bytes.fromhex(value)))
    else:
        sids = [security.dom_sid(sid) for sid in value.split(",")]
        token = security.token()
        token.sids = sids
        token.num_sids = len(sids)
        tokens.append(token)

times = []
for descriptor in descriptors:
    for token in tokens:
        begin = perf_counter_ns()
        try:
            access_check(descriptor, token, 0x100)
        except NTSTATUSError:
            pass
        times.append(perf_counter_ns() - begin)
times.sort()
print(times[len(times) // 2], times[len(times) * 99 // 100])
