//! Default security descriptors of classes: the defaultSecurityDescriptor of the Windows schema (MS-ADSC), and what
//! Exchange setup writes on its configuration objects (facts 1.7).

use acl::{SddlContext, SecurityDescriptor, Sid, well_known};

use crate::{Class, ObjectId, Snapshot, Value};

/// The explicit descriptor that an object has got from its class when it was made without one.
pub fn default_descriptor(snapshot: &Snapshot, id: ObjectId) -> SecurityDescriptor {
    let class = snapshot.object(id).map_or(Class::Other, |object| object.class());
    let domain = snapshot.domain_of(id).map(|domain| &domain.sid);
    let root = snapshot.forest_root(id).or_else(|| snapshot.domains().iter().find(|domain| domain.is_root));
    // Without a domain of its own, configuration has the forest's.
    let root = root.map(|root| &root.sid);
    SecurityDescriptor::parse(&explicit(class, domain.or(root), root))
        .unwrap_or_else(|_| SecurityDescriptor::with_dacl(acl::Acl::new(Vec::new())))
}

/// The explicit descriptor of a new object: the class default, owned by the group that a domain's (or the forest's)
/// administrators act as (acl-algorithms 1.4, DAG).
pub(crate) fn explicit(class: Class, domain: Option<&Sid>, root: Option<&Sid>) -> Value {
    let context = SddlContext { domain: domain.cloned(), root_domain: root.cloned(), lenient: false };
    let text = if domain.is_some() { sddl(class) } else { WITHOUT_DOMAIN };
    // The texts are constants and a test reads them all; SYSTEM's full control alone is what an unreadable one gives.
    let mut sd = SecurityDescriptor::from_sddl(text, &context).unwrap_or_else(|_| {
        SecurityDescriptor::with_dacl(acl::Acl::new(vec![acl::Ace::allow(
            well_known::SYSTEM,
            acl::AccessMask::DS_FULL_CONTROL,
        )]))
    });
    let administrators = match class {
        Class::Configuration
        | Class::Schema
        | Class::Organization
        | Class::Server
        | Class::Database
        | Class::ReceiveConnector
        | Class::SendConnector
        | Class::AcceptedDomain
        | Class::DisconnectedMailbox => root.or(domain).and_then(|sid| sid.with_rid(519)),
        _ => domain.and_then(|sid| sid.with_rid(512)),
    };
    sd.owner = Some(administrators.unwrap_or(well_known::BUILTIN_ADMINISTRATORS));
    sd.group = sd.owner.clone();
    sd.to_bytes()
}

/// The template that protected accounts carry (MS-ADTS 6.1.1.6.1, schema version 44 and later), on AdminSDHolder.
pub(crate) fn admin_sd_holder(domain: &Sid, root: &Sid) -> Value {
    let context = SddlContext { domain: Some(domain.clone()), root_domain: Some(root.clone()), lenient: false };
    let sd = SecurityDescriptor::from_sddl(ADMIN_SD_HOLDER, &context);
    sd.map(|sd| sd.to_bytes()).unwrap_or_default()
}

fn sddl(class: Class) -> &'static str {
    match class {
        Class::Domain => DOMAIN,
        Class::Configuration | Class::Schema => CONFIGURATION,
        Class::OrganizationalUnit => ORGANIZATIONAL_UNIT,
        Class::User | Class::InetOrgPerson => USER,
        Class::Computer => COMPUTER,
        Class::Group => GROUP,
        Class::Contact => CONTACT,
        Class::ForeignPrincipal => FOREIGN_PRINCIPAL,
        Class::Organization => EXCHANGE_ORGANIZATION,
        Class::Server
        | Class::Database
        | Class::ReceiveConnector
        | Class::SendConnector
        | Class::AcceptedDomain
        | Class::DisconnectedMailbox => EXCHANGE_OBJECT,
        Class::PublicFolder | Class::DynamicGroup => RECIPIENT,
        Class::Container | Class::BuiltinDomain | Class::Other => CONTAINER,
    }
}

const WITHOUT_DOMAIN: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;LCRPLORC;;;AU)";

const USER: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;AO)(A;;LCRPLORC;;;PS)\
(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;PS)(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;PS)\
(OA;;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;PS)(OA;;RPWP;77b5b886-944a-11d1-aebd-0000f80367c1;;PS)\
(OA;;RPWP;e45795b2-9455-11d1-aebd-0000f80367c1;;PS)(OA;;RPWP;e45795b3-9455-11d1-aebd-0000f80367c1;;PS)\
(A;;RC;;;AU)(OA;;RP;59ba2f42-79a2-11d0-9020-00c04fc2d3cf;;AU)(OA;;RP;77b5b886-944a-11d1-aebd-0000f80367c1;;AU)\
(OA;;RP;e45795b3-9455-11d1-aebd-0000f80367c1;;AU)(OA;;RP;e48d0154-bcf8-11d1-8702-00c04fb96050;;AU)\
(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;WD)(OA;;RP;5f202010-79a5-11d0-9020-00c04fc2d4cf;;RS)\
(OA;;RP;bc0ac240-79a9-11d0-9020-00c04fc2d4cf;;RS)(OA;;RP;4c164200-20c0-11d0-a768-00aa006e0529;;RS)\
(OA;;RP;037088f8-0ae1-11d2-b422-00a0c968f939;;RS)(OA;;RPWP;bf967a7f-0de6-11d0-a285-00aa003049e2;;CA)\
(OA;;RP;46a9b11d-60ae-405a-b7e8-ff8a58d456d2;;S-1-5-32-560)\
(OA;;RPWP;6db69a1c-9422-11d1-aebd-0000f80367c1;;S-1-5-32-561)\
(OA;;RPWP;5805bc62-bdc9-4428-a5e2-856a0f4c185e;;S-1-5-32-561)";

const COMPUTER: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;AO)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;LCRPDTLOCRSDRC;;;CO)(OA;;WP;4c164200-20c0-11d0-a768-00aa006e0529;;CO)\
(A;;LCRPLORC;;;AU)(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;WD)(A;;CCDC;;;PS)\
(OA;;CCDC;bf967aa8-0de6-11d0-a285-00aa003049e2;;PO)(OA;;RPWP;bf967a7f-0de6-11d0-a285-00aa003049e2;;CA)\
(OA;;SW;f3a64788-5306-11d1-a9c5-0000f80367c1;;PS)(OA;;RPWP;77b5b886-944a-11d1-aebd-0000f80367c1;;PS)\
(OA;;SW;72e39547-7b18-11d1-adef-00c04fd8d5cd;;PS)(OA;;SW;72e39547-7b18-11d1-adef-00c04fd8d5cd;;CO)\
(OA;;SW;f3a64788-5306-11d1-a9c5-0000f80367c1;;CO)(OA;;RP;46a9b11d-60ae-405a-b7e8-ff8a58d456d2;;S-1-5-32-560)";

const GROUP: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;AO)(A;;LCRPLORC;;;PS)(A;;LCRPLORC;;;AU)\
(OA;;CR;ab721a55-1e2f-11d0-9819-00aa0040529b;;AU)(OA;;RP;46a9b11d-60ae-405a-b7e8-ff8a58d456d2;;S-1-5-32-560)";

const ORGANIZATIONAL_UNIT: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)\
(OA;;CCDC;bf967a86-0de6-11d0-a285-00aa003049e2;;AO)(OA;;CCDC;bf967aba-0de6-11d0-a285-00aa003049e2;;AO)\
(OA;;CCDC;bf967a9c-0de6-11d0-a285-00aa003049e2;;AO)(OA;;CCDC;bf967aa8-0de6-11d0-a285-00aa003049e2;;PO)\
(A;;LCRPLORC;;;AU)(A;;LCRPLORC;;;ED)(OA;;CCDC;4828cc14-1437-45bc-9b07-ad6f015e5f28;;AO)";

const CONTAINER: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;LCRPLORC;;;AU)";

const CONTACT: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;AO)(A;;LCRPLORC;;;AU)(OA;;RPWP;77b5b886-944a-11d1-aebd-0000f80367c1;;PS)";

const RECIPIENT: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;AO)(A;;LCRPLORC;;;AU)";

const FOREIGN_PRINCIPAL: &str = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;;LCRPLORC;;;PS)(A;;LCRPLORC;;;AU)(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;PS)\
(OA;;RPWP;77b5b886-944a-11d1-aebd-0000f80367c1;;PS)";

const DOMAIN: &str = "D:(A;;RP;;;WD)(A;;LCRPLORC;;;AU)(A;;CCLCSWRPWPLOCRRCWDWO;;;DA)\
(A;CI;CCLCSWRPWPLOCRSDRCWDWO;;;BA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;CI;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;EA)\
(A;CI;LC;;;RU)(OA;CIIO;RP;037088f8-0ae1-11d2-b422-00a0c968f939;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;CIIO;RP;59ba2f42-79a2-11d0-9020-00c04fc2d3cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;CIIO;RP;bc0ac240-79a9-11d0-9020-00c04fc2d4cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;CIIO;RP;4c164200-20c0-11d0-a768-00aa006e0529;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;CIIO;RP;5f202010-79a5-11d0-9020-00c04fc2d4cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RP;c7407360-20bf-11d0-a768-00aa006e0529;;RU)(OA;CIIO;LCRPLORC;;bf967a9c-0de6-11d0-a285-00aa003049e2;RU)\
(OA;CIIO;LCRPLORC;;bf967aba-0de6-11d0-a285-00aa003049e2;RU)";

const CONFIGURATION: &str = "D:(A;;LCRPLORC;;;AU)(A;;CCLCSWRPWPLOCRSDRCWDWO;;;BA)\
(A;CI;CCLCSWRPWPLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;CI;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;EA)";

// Administrators of Windows may not open mailboxes: Send As and Receive As are denied to them from the organization
// down (facts 1.7, exchange-2013-deployment-permissions-reference). They may of course change this descriptor.
const EXCHANGE_ORGANIZATION: &str = "D:(OD;CI;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;EA)\
(OD;CI;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;EA)(OD;CI;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;DA)\
(OD;CI;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;DA)(A;CI;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)\
(A;CI;LCRPLORC;;;AU)";

const EXCHANGE_OBJECT: &str = "D:(A;;CCDCLCSWRPWPDTLOSDRCWDWO;;;SY)";

const ADMIN_SD_HOLDER: &str = "O:DAG:DAD:PAI\
(OA;;RP;4c164200-20c0-11d0-a768-00aa006e0529;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)\
(OA;;RP;4c164200-20c0-11d0-a768-00aa006e0529;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RP;5f202010-79a5-11d0-9020-00c04fc2d4cf;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)\
(OA;;RP;5f202010-79a5-11d0-9020-00c04fc2d4cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RP;bc0ac240-79a9-11d0-9020-00c04fc2d4cf;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)\
(OA;;RP;bc0ac240-79a9-11d0-9020-00c04fc2d4cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RP;59ba2f42-79a2-11d0-9020-00c04fc2d3cf;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)\
(OA;;RP;59ba2f42-79a2-11d0-9020-00c04fc2d3cf;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RP;037088f8-0ae1-11d2-b422-00a0c968f939;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)\
(OA;;RP;037088f8-0ae1-11d2-b422-00a0c968f939;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;RPWP;bf967a7f-0de6-11d0-a285-00aa003049e2;;CA)(OA;;RP;46a9b11d-60ae-405a-b7e8-ff8a58d456d2;;S-1-5-32-560)\
(OA;;RPWP;6db69a1c-9422-11d1-aebd-0000f80367c1;;S-1-5-32-561)\
(OA;;RPWP;5805bc62-bdc9-4428-a5e2-856a0f4c185e;;S-1-5-32-561)\
(OA;;LCRPLORC;;4828cc14-1437-45bc-9b07-ad6f015e5f28;RU)(OA;;LCRPLORC;;bf967aba-0de6-11d0-a285-00aa003049e2;RU)\
(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;WD)(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;;PS)\
(OA;CI;RPWPCR;91e647de-d96f-4b70-9557-d63ff4f3ccd8;;PS)(A;;CCDCLCSWRPWPLOCRRCWDWO;;;DA)\
(A;;CCDCLCSWRPWPLOCRRCWDWO;;;EA)(A;;CCDCLCSWRPWPLOCRSDRCWDWO;;;BA)(A;;LCRPLORC;;;AU)\
(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_readable_sddl() {
        let domain: Sid = "S-1-5-21-1-2-3".parse().unwrap();
        let context = SddlContext { domain: Some(domain.clone()), root_domain: Some(domain.clone()), lenient: false };
        let texts = [
            WITHOUT_DOMAIN,
            USER,
            COMPUTER,
            GROUP,
            ORGANIZATIONAL_UNIT,
            CONTAINER,
            CONTACT,
            RECIPIENT,
            FOREIGN_PRINCIPAL,
            DOMAIN,
            CONFIGURATION,
            EXCHANGE_ORGANIZATION,
            EXCHANGE_OBJECT,
            ADMIN_SD_HOLDER,
        ];
        for text in texts {
            SecurityDescriptor::from_sddl(text, &context).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
        let sd = SecurityDescriptor::parse(&explicit(Class::User, Some(&domain), Some(&domain))).unwrap();
        assert_eq!(sd.owner, domain.with_rid(512));
    }
}
