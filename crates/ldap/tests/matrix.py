# Fills a domain at random, and judges who may send as whom from what the domain controller stores: descriptors as it
# computed them, read by Samba's own modules, and its tokenGroups. Prints a line for each user and target.
import random

import ldb
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.sd_utils import SDUtils

SEND_AS = "ab721a54-1e2f-11d0-9819-00aa0040529b"
OTHER = "ab721a56-1e2f-11d0-9819-00aa0040529b"
USER = "bf967aba-0de6-11d0-a285-00aa003049e2"
CONTROL = 0x100

random.seed(SEED)
sds = SDUtils(db)


def add(dn, **attributes):
    db.add({"dn": dn, **attributes})
    return dn


units = ["OU=Matrix," + base]
add(units[0], objectClass="organizationalUnit")
for number in range(6):
    units.append(add("OU=unit%d,%s" % (number, random.choice(units)), objectClass="organizationalUnit"))
users = []
for number in range(COUNT):
    name = "m%02d" % number
    dn = "CN=%s,%s" % (name, random.choice(units))
    add(dn, objectClass="user", sAMAccountName=name, mail=name + "@ad.example.test", userAccountControl="514")
    users.append(dn)
# Global security, universal security, domain local, universal distribution.
KINDS = ["-2147483646", "-2147483640", "-2147483644", "8"]
groups = []
for number in range(14):
    dn = "CN=g%02d,%s" % (number, random.choice(units))
    add(dn, objectClass="group", sAMAccountName="g%02d" % number, groupType=KINDS[number % 4])
    groups.append(dn)
for number, group in enumerate(groups):
    for member in set(random.sample(users, 8) + random.sample(groups[:number] + users, 2)):
        change = ldb.Message(ldb.Dn(db, group))
        change["m"] = ldb.MessageElement([member], ldb.FLAG_MOD_ADD, "member")
        try:
            db.modify(change)
        except ldb.LdbError:
            pass  # Some kinds of groups do not go into others.


def sid_of(dn):
    read = db.search(dn, scope=ldb.SCOPE_BASE, attrs=["objectSid"])
    return ndr_unpack(security.dom_sid, read[0]["objectSid"][0])


sids = {dn: str(sid_of(dn)) for dn in users + groups}
everybody = ["WD", "AU", "PS"]
for _ in range(COUNT * 5):
    on = random.choice(users + users + units)
    trustee = random.choice([sids[dn] for dn in users] + [sids[dn] for dn in groups] * 2 + everybody * 1)
    if trustee in ("WD", "AU") and random.random() < 0.8:
        continue
    right = random.choice([SEND_AS, SEND_AS, SEND_AS, OTHER, ""])
    flags = random.choice(["", "CI", "CIIO", "CINP", "CINPIO"]) if on in units else ""
    deny = random.random() < 0.25
    inherited = random.choice([USER, USER, ""]) if flags else ""
    if right or inherited:
        ace = "(%s;%s;CR;%s;%s;%s)" % ("OD" if deny else "OA", flags, right, inherited, trustee)
    else:
        ace = "(%s;%s;CR;;;%s)" % ("D" if deny else "A", flags, trustee)
    sds.dacl_add_ace(on, ace)
for dn in random.sample(users, 3) + random.sample(units[1:], 1):
    sd = sds.read_sd_on_dn(dn)
    sd.type |= security.SEC_DESC_DACL_PROTECTED
    sds.modify_sd_on_dn(dn, sd)


def tokens(dn):
    read = db.search(dn, scope=ldb.SCOPE_BASE, attrs=["tokenGroups", "objectSid"])
    held = {str(ndr_unpack(security.dom_sid, value)) for value in read[0].get("tokenGroups", [])}
    # What every account that has logged on holds, and what those are members of.
    return held | {sids[dn], "S-1-1-0", "S-1-5-11", "S-1-5-2", "S-1-5-32-554"}


def names(ace):
    if ace.type in (5, 6):
        return str(ace.object.type) if ace.object.flags & 1 else ""
    return ""


def judge(held, target):
    own = sids[target]
    for ace in descriptors[target].dacl.aces:
        if ace.flags & security.SEC_ACE_FLAG_INHERIT_ONLY or ace.type not in (0, 1, 5, 6):
            continue
        trustee = str(ace.trustee)
        if trustee == "S-1-5-10":
            trustee = own
        if trustee not in held or not ace.access_mask & CONTROL:
            continue
        if names(ace) in ("", SEND_AS):
            return "allow" if ace.type in (0, 5) else "deny"
    return "none"


descriptors = {dn: sds.read_sd_on_dn(dn) for dn in users}
for user in users:
    held = tokens(user)
    print("token", sids[user], " ".join(sorted(held)))
    for target in users:
        verdict = judge(held, target)
        # An owner needs no grant, unless one is denied.
        allowed = verdict == "allow" or verdict == "none" and user == target
        print("verdict", sids[user], sids[target], "yes" if allowed else "no")
