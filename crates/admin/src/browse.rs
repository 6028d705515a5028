//! `procura browse`: the directory as a tree, the Configuration partition included, as ADSI Edit shows it (S2).

use directory::dn;
use directory::{ObjectId, Snapshot};
use rights::admin::{Action, may};
use serde::{Deserialize, Serialize};

use crate::error::{Fault, FaultKind};
use crate::response::{Page, Response};
use crate::service::{Asked, find};

/// Rows on a page.
const PAGE: usize = 1000;
/// Levels, however many are asked for.
const DEEPEST: u32 = 32;

/// What is below an object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Browse {
    /// Any name, a distinguished name, or a path as S2 writes it: `CN=Configuration\CN=Services\…`; none: the domains.
    #[serde(default)]
    pub path: Option<String>,
    /// Levels below it.
    #[serde(default)]
    pub depth: Option<u32>,
    /// Continue after so many rows: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// An object of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRow {
    /// Levels below where the tree begins.
    pub level: u32,
    /// Its own name: `CN=Services`.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Objects directly below it.
    pub children: u64,
    /// Inheritance of permissions is blocked here.
    pub protected: bool,
    /// Distinguished name.
    pub dn: String,
}

pub fn browse(asked: Asked<'_>, browse: &Browse) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let depth = browse.depth.unwrap_or(1).min(DEEPEST);
    let roots: Vec<ObjectId> = match &browse.path {
        Some(path) => vec![find(snapshot, path)?],
        None => snapshot.objects().filter(|(_, object)| object.parent().is_none()).map(|(id, _)| id).collect(),
    };
    let mut walk = Walk { asked, skip: browse.after.unwrap_or(0) as usize, seen: 0, rows: Vec::new(), more: false };
    for root in roots {
        walk.visit(root, 0, depth);
    }
    if walk.rows.is_empty() && walk.skip == 0 {
        return Err(Fault::new(FaultKind::Denied, format!("{} may read nothing there", asked.caller.name)));
    }
    let next = walk.more.then(|| u32::try_from(walk.skip + walk.rows.len()).unwrap_or(u32::MAX));
    Ok(Response::Tree(Page { next, ..Page::from(walk.rows) }))
}

struct Walk<'a> {
    asked: Asked<'a>,
    skip: usize,
    seen: usize,
    rows: Vec<TreeRow>,
    more: bool,
}

impl Walk<'_> {
    /// An object and what is below it, in the order of names. What may not be read is not there.
    fn visit(&mut self, id: ObjectId, level: u32, depth: u32) {
        let snapshot = self.asked.snapshot;
        if self.more || !may(snapshot, &self.asked.caller.token, id, Action::Read) {
            return;
        }
        let Some(object) = snapshot.object(id) else { return };
        let mut children: Vec<(String, ObjectId)> = snapshot
            .children(id)
            .filter_map(|child| Some((dn::folded(&snapshot.object(child)?.name()), child)))
            .collect();
        if self.seen >= self.skip {
            if self.rows.len() == PAGE {
                self.more = true;
                return;
            }
            let descriptor = snapshot.explicit_descriptor(id);
            self.rows.push(TreeRow {
                level,
                name: object.rdn().to_owned(),
                class: object.class().ldap_name().to_owned(),
                children: children.len() as u64,
                protected: descriptor.is_some_and(|descriptor| descriptor.is_dacl_protected()),
                dn: snapshot.dn(id),
            });
        }
        self.seen += 1;
        if level < depth {
            children.sort();
            for (_, child) in children {
                self.visit(child, level + 1, depth);
            }
        }
    }
}

/// The object of a path from the top down, as S2 writes it: `CN=Configuration\CN=Services\CN=Microsoft Exchange`. It
/// begins at a domain, or below the first one. None: it is no such path, or leads nowhere.
pub(crate) fn by_path(snapshot: &Snapshot, path: &str) -> Option<ObjectId> {
    let parts: Vec<&str> = path.trim_matches('\\').split('\\').map(str::trim).collect();
    if parts.iter().any(|part| !part.contains('=')) {
        return None;
    }
    let (first, rest) = parts.split_first()?;
    let root = snapshot.domains().first()?.object;
    let start = snapshot.by_dn(first).or_else(|| child(snapshot, root, first))?;
    rest.iter().try_fold(start, |at, part| child(snapshot, at, part))
}

/// The child of a name, blanks aside; else the only one whose name ends so: S2 spells “Exchange Routing Group (…)” without
/// its first word, and “Exchange Administrative Group(…)” without a blank.
fn child(snapshot: &Snapshot, at: ObjectId, part: &str) -> Option<ObjectId> {
    let (naming, value) = part.split_once('=')?;
    let squeezed = |text: &str| dn::folded(text).split_whitespace().collect::<String>();
    let wanted = squeezed(value);
    let named = |id: &ObjectId, fits: &dyn Fn(&str) -> bool| {
        snapshot.object(*id).is_some_and(|object| {
            let own = object.rdn().split('=').next().unwrap_or_default();
            own.eq_ignore_ascii_case(naming.trim()) && fits(&squeezed(&object.name()))
        })
    };
    let exact = snapshot.children(at).find(|id| named(id, &|name| name == wanted));
    exact.or_else(|| {
        let mut ending = snapshot.children(at).filter(|id| named(id, &|name| name.ends_with(&wanted)));
        ending.next().filter(|_| ending.next().is_none() && !wanted.is_empty())
    })
}
