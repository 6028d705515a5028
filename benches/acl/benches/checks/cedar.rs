//! The same questions asked of Cedar: groups as parents of the principal, one permit or forbid for each ACE that holds
//! the right. Cedar has no order (forbid wins), so that verdicts differ where order decides; measured is time.

use std::collections::HashSet;

use acl::{AccessMask, SecurityDescriptor, Sid};
use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request};

use crate::data::{Pair, RIGHTS, World};
use crate::timer::Latencies;

pub struct Cedar {
    authorizer: Authorizer,
    policies: Vec<PolicySet>,
    entities: Vec<Entities>,
    requests: Vec<Request>,
}

impl Cedar {
    /// The first descriptors, and the first tokens of one size.
    pub fn new(world: &World, size: usize, descriptors: usize, tokens: usize) -> Cedar {
        let entities = world.tokens_of(size).take(tokens).map(|at| entities(&world.tokens[at].sids)).collect();
        Cedar {
            authorizer: Authorizer::new(),
            policies: world.descriptors.iter().take(descriptors).map(policies).collect(),
            entities,
            requests: (0..RIGHTS.len()).map(request).collect(),
        }
    }

    pub fn latencies(&self, pairs: &[Pair]) -> Latencies {
        Latencies::of(pairs, |pair| {
            let policies = &self.policies[pair.descriptor % self.policies.len()];
            let entities = &self.entities[pair.token % self.entities.len()];
            self.authorizer.is_authorized(&self.requests[pair.right], policies, entities).decision()
        })
    }
}

fn uid(kind: &str, name: &str) -> EntityUid {
    format!("{kind}::\"{name}\"").parse().expect("a plain name")
}

fn request(right: usize) -> Request {
    let action = uid("Action", &RIGHTS[right].to_string());
    Request::new(uid("User", "me"), action, uid("Mailbox", "m"), Context::empty(), None).expect("no schema to break")
}

fn entities(sids: &[Sid]) -> Entities {
    let groups: HashSet<EntityUid> = sids.iter().map(|sid| uid("Group", &sid.to_string())).collect();
    let mut all: Vec<Entity> = groups.iter().map(|group| Entity::new_no_attrs(group.clone(), HashSet::new())).collect();
    all.push(Entity::new_no_attrs(uid("User", "me"), groups));
    Entities::from_entities(all, None).expect("no cycles")
}

fn policies(sd: &SecurityDescriptor) -> PolicySet {
    let mut text = String::new();
    for ace in sd.dacl.iter().flat_map(|dacl| &dacl.aces) {
        if !ace.mask.intersects(AccessMask::CONTROL_ACCESS) {
            continue;
        }
        let effect = if ace.is_deny() { "forbid" } else { "permit" };
        let action = ace.object_type.map_or(String::new(), |right| format!(" == Action::\"{right}\""));
        text += &format!("{effect}(principal in Group::\"{}\", action{action}, resource);\n", ace.sid);
    }
    text.parse().expect("generated policies")
}
