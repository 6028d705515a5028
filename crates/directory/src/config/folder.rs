//! Folders of files as ways of mail: pickup and replay folders, which are receive connectors, and drop folders, which are
//! send connectors (F §3.11, "Application points").

/// What the files of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FolderKind {
    /// Messages: sender and recipients are those of the header.
    Pickup,
    /// Messages with their envelope, in fields before the header: as another server has left them.
    Replay,
}

impl FolderKind {
    /// Both.
    pub const ALL: [FolderKind; 2] = [FolderKind::Pickup, FolderKind::Replay];

    /// As the directory and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            FolderKind::Pickup => "pickup",
            FolderKind::Replay => "replay",
        }
    }
}

/// Whose token a file of a folder gets (authorization.md §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FolderIdentity {
    /// ANONYMOUS LOGON.
    #[default]
    Anonymous,
    /// The account that is assigned to the folder; without one the folder is out of service.
    Account,
    /// The account of the user of this machine who owns the file; pickup folders only.
    Owner,
}

impl FolderIdentity {
    /// All of them.
    pub const ALL: [FolderIdentity; 3] = [FolderIdentity::Anonymous, FolderIdentity::Account, FolderIdentity::Owner];

    /// As the directory spells it.
    pub fn name(self) -> &'static str {
        match self {
            FolderIdentity::Anonymous => "anonymous",
            FolderIdentity::Account => "account",
            FolderIdentity::Owner => "owner",
        }
    }
}

/// A receive connector that takes files of a folder, and no connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// What the files are.
    pub kind: FolderKind,
    /// The folder: an absolute path on the connector's server.
    pub path: String,
    /// Whose token they get.
    pub identity: FolderIdentity,
    /// Files a minute; 0: no limit.
    pub per_minute: u32,
}

impl Folder {
    /// Files a minute where nothing is said, as in the reference.
    pub const PER_MINUTE: u32 = 100;
}
