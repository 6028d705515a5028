# Brings what a domain controller has of its domain to another one of the forest: what a global catalog holds of others'
# domains, and more.
#
# FOLDER SERVER SHORT PARTITION PASSWORD
import sys

from samba import drs_utils
from samba.auth import system_session
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.dcerpc import misc
from samba.param import LoadParm
from samba.samdb import SamDB

folder, server, short, partition, password = sys.argv[1:6]
lp = LoadParm()
lp.load(folder + '/etc/smb.conf')
creds = Credentials()
creds.guess(lp)
creds.set_username('Administrator')
creds.set_password(password)
creds.set_domain(short)
creds.set_kerberos_state(DONT_USE_KERBEROS)
here = SamDB(url=folder + '/private/sam.ldb', session_info=system_session(), lp=lp, flags=0)
there = SamDB(url='ldap://' + server, session_info=system_session(), credentials=creds, lp=lp)
here.transaction_start()
copy = drs_utils.drs_Replicate('ncacn_ip_tcp:%s[seal]' % server, lp, creds, here, misc.GUID(here.get_invocation_id()))
copy.replicate(partition, misc.GUID(there.get_invocation_id()), misc.GUID(here.get_ntds_GUID()))
here.transaction_commit()
