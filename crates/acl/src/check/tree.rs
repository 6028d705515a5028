//! Object type lists (MS-ADTS 5.1.3.3.3).

use crate::{AccessMask, Guid};

/// A node of an object type list: class at level 0, property sets at 1, attributes at 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeNode {
    /// Depth; the root has 0.
    pub level: u16,
    /// What it stands for.
    pub guid: Guid,
}

impl TreeNode {
    /// The tree of one path, root first: each GUID is the only child of the one before.
    pub fn path(guids: &[Guid]) -> Vec<TreeNode> {
        guids.iter().zip(0..).map(|(guid, level)| TreeNode { level, guid: *guid }).collect()
    }
}

/// Why nodes are no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The first node, and only that, has level 0.
    #[error("node {0} of the object tree: the first node, and only that, has level 0")]
    Root(usize),
    /// A node is more than one level below the one before.
    #[error("node {0} of the object tree skips a level")]
    Level(usize),
}

/// Rights decided on each node.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// `None` for the one node of a check without a tree.
    guid: Option<Guid>,
    parent: Option<usize>,
    /// One behind the last descendant.
    end: usize,
    granted: AccessMask,
    denied: AccessMask,
}

impl Tree {
    /// No nodes: a root that no ACE can name.
    pub(super) fn new(nodes: &[TreeNode]) -> Result<Tree, TreeError> {
        let mut path: Vec<usize> = Vec::new();
        let mut tree = Tree { nodes: Vec::with_capacity(nodes.len().max(1)) };
        for (index, node) in nodes.iter().enumerate() {
            let level = usize::from(node.level);
            if (level == 0) != (index == 0) {
                return Err(TreeError::Root(index));
            }
            if level > path.len() {
                return Err(TreeError::Level(index));
            }
            path.truncate(level);
            tree.nodes.push(Node::new(Some(node.guid), path.last().copied(), index + 1));
            for ancestor in &path {
                tree.nodes[*ancestor].end = index + 1;
            }
            path.push(index);
        }
        if nodes.is_empty() {
            tree.nodes.push(Node::new(None, None, 1));
        }
        Ok(tree)
    }

    /// A control access right stands alone.
    pub(super) fn of_right(right: Guid) -> Tree {
        Tree { nodes: vec![Node::new(Some(right), None, 1)] }
    }

    pub(super) fn find(&self, guid: &Guid) -> Option<usize> {
        self.nodes.iter().position(|node| node.guid == Some(*guid))
    }

    pub(super) fn granted(&self, node: usize) -> AccessMask {
        self.nodes[node].granted
    }

    pub(super) fn denied(&self, node: usize) -> AccessMask {
        self.nodes[node].denied
    }

    /// Grants what is not denied on the node and below; what all children have, their parent has. Returns what is new
    /// on the node itself.
    pub(super) fn grant(&mut self, node: usize, mask: AccessMask) -> AccessMask {
        let before = self.nodes[node].granted;
        let end = self.nodes[node].end;
        for below in &mut self.nodes[node..end] {
            below.granted |= mask & !below.denied;
        }
        let mut child = node;
        while let Some(parent) = self.nodes[child].parent {
            let children = self.nodes.iter().filter(|other| other.parent == Some(parent));
            let common = children.fold(!AccessMask::NONE, |all, other| all & other.granted);
            let above = &mut self.nodes[parent];
            above.granted |= common & !above.denied;
            child = parent;
        }
        self.nodes[node].granted & !before
    }

    /// Denies what is not granted on the node and below, and on the nodes above. Returns what is new on the node itself.
    pub(super) fn deny(&mut self, node: usize, mask: AccessMask) -> AccessMask {
        let before = self.nodes[node].denied;
        let end = self.nodes[node].end;
        for below in &mut self.nodes[node..end] {
            below.denied |= mask & !below.granted;
        }
        let mut child = node;
        while let Some(parent) = self.nodes[child].parent {
            let above = &mut self.nodes[parent];
            above.denied |= mask & !above.granted;
            child = parent;
        }
        self.nodes[node].denied & !before
    }
}

impl Node {
    fn new(guid: Option<Guid>, parent: Option<usize>, end: usize) -> Node {
        Node { guid, parent, end, granted: AccessMask::NONE, denied: AccessMask::NONE }
    }
}
