# Makes the first domain controller of a child domain, with the modules of Samba's own installation. Samba 4.17 has all that it
# takes, and no command for it any more: some of it has to be put right here.
#
# ROOT TARGET SERVER PARENT PARENT_SHORT DOMAIN SHORT NAME PASSWORD [OPTION=VALUE...]
import functools
import inspect
import sys
import uuid

import samba.provision
from samba import dn_from_dns_name, dsdb, join
from samba.auth import system_session
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.dcerpc import drsuapi, misc, security
from samba.param import LoadParm
from samba.samdb import SamDB

root, target, server, parent, parent_short, domain, short, name, password = sys.argv[1:10]
lp = LoadParm()
lp.load_default()
for option in sys.argv[10:]:
    lp.set(*option.split('=', 1))
lp.set('realm', parent.upper())
creds = Credentials()
creds.guess(lp)
creds.set_username('Administrator')
creds.set_password(password)
creds.set_domain(parent_short)
creds.set_kerberos_state(DONT_USE_KERBEROS)

# The database of a new partition has to be made.
join.SamDB = functools.partial(SamDB, flags=0)
# A variable that is set for the first domain alone is used for others too.
text = inspect.getsource(samba.provision.fill_samdb)
line = next(line for line in text.splitlines(True) if 'managedservice_descr =' in line)
first = '    deletedobjects_descr ='
exec(text.replace(line, '').replace(first, line[4:] + first, 1), samba.provision.__dict__)


class Child(join.DCJoinContext):
    def join_setup_trusts(self):
        pass

    def cleanup_old_join(self, force=False):
        pass

    def DsAddEntry(self, records):
        # The server would open the database of the new domain, which it does not have.
        configuration = LoadParm()
        configuration.load(root + '/etc/smb.conf')
        db = SamDB(url=root + '/private/sam.ldb', session_info=system_session(), lp=configuration)
        new = '<GUID=%s>;<SID=%s>;%s' % (uuid.uuid4(), self.domsid, self.base_dn)
        known = lambda value: new if value == self.base_dn else value
        added = []
        for record in records:
            whole = {key: [known(one) for one in value] if isinstance(value, list) else known(value)
                     for key, value in record.items()}
            db.add(whole, controls=['relax:0', 'local_oid:1.3.6.1.4.1.7165.4.3.16:0'])
            found = db.search(record['dn'], scope=0, attrs=['objectGUID'])[0]['objectGUID'][0]
            entry = type('Added', (), {})()
            entry.guid = misc.GUID(db.schema_format_value('objectGUID', found))
            added.append(entry)
        return added


child = Child(__import__('logging').getLogger(), server, creds, lp, None, name, target, parent, dns_backend='NONE')
child.subdomain = True
child.adminpass = password
child.parent_partition_dn = 'CN=%s,CN=Partitions,%s' % (child.domain_name, child.config_dn)
child.partition_dn = 'CN=%s,CN=Partitions,%s' % (short, child.config_dn)
child.domain_name, child.realm, child.dnsdomain = short, domain.upper(), domain
child.base_dn = str(dn_from_dns_name(domain))
child.forestsid, child.domsid = child.domsid, security.random_sid()
child.acct_dn, child.rid_manager_dn = None, None
child.dnshostname = '%s.%s' % (name.lower(), domain)
child.userAccountControl = dsdb.UF_SERVER_TRUST_ACCOUNT | dsdb.UF_TRUSTED_FOR_DELEGATION
child.secure_channel_type = misc.SEC_CHAN_BDC
child.replica_flags |= drsuapi.DRSUAPI_DRS_WRIT_REP | drsuapi.DRSUAPI_DRS_FULL_SYNC_IN_PROGRESS
child.domain_replica_flags = child.replica_flags
lp.set('workgroup', short)
lp.set('realm', domain.upper())
child.do_join()
