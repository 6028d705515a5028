//! The header firewall: fields that only trusted hosts may set (F §3.11).

use crate::header::Field;

/// Which classes of firewalled fields stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// `Received` and `Resent-*`: the sender holds Accept-Headers-Routing.
    pub routing: bool,
    /// `X-MS-Exchange-Organization-*` and `X-Procura-*`: Accept-Headers-Organization.
    pub organization: bool,
    /// `X-MS-Exchange-Forest-*`: Accept-Headers-Forest.
    pub forest: bool,
}

impl Keep {
    /// Everything stays.
    pub const ALL: Keep = Keep { routing: true, organization: true, forest: true };
    /// Nothing that the firewall knows stays.
    pub const NONE: Keep = Keep { routing: false, organization: false, forest: false };

    /// Whether the field stays.
    pub fn keeps(&self, field: &Field<'_>) -> bool {
        let _ = field;
        todo!()
    }
}
