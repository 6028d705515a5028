//! What holds for every input, however it comes: of property tests, of the corpus, of the fuzzer.

use acl::SecurityDescriptor;
use directory::folders::FolderDescriptor;
use rights::folder::{FolderList, FolderPath, FolderRights};

/// A value of procuraFolderPermission; or the path of one, a line feed, and the octets of its descriptor; or rights.
pub fn folders_hold(input: &[u8]) {
    if let Ok(folder) = FolderDescriptor::parse(input) {
        folder_holds(&folder);
    }
    if let Some(at) = input.iter().position(|octet| *octet == b'\n')
        && let Ok(path) = std::str::from_utf8(&input[..at])
        && let Ok(descriptor) = SecurityDescriptor::parse(&input[at + 1..])
        && let Ok(folder) = FolderDescriptor::parse(&FolderDescriptor { path: path.to_owned(), descriptor }.to_value())
    {
        folder_holds(&folder);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(rights) = text.parse::<FolderRights>() {
            assert_eq!(rights.to_string().parse(), Ok(rights), "{text:?}");
            assert!(FolderRights::ALL.contains(rights));
        }
        if let Ok(path) = text.parse::<FolderPath>() {
            path_holds(&path);
        }
    }
}

fn folder_holds(folder: &FolderDescriptor) {
    assert_eq!(FolderDescriptor::parse(&folder.to_value()).as_ref(), Ok(folder));
    path_holds(&folder.path.parse().expect("what is kept is a path"));
    // A list is shown only where it says all that the descriptor does.
    if let Some(list) = FolderList::of(&folder.descriptor) {
        assert_eq!(list.to_descriptor(), folder.descriptor);
        assert_eq!(FolderList::of(&list.to_descriptor()).as_ref(), Some(&list));
    }
}

/// Each folder is below the mailbox as a whole, as many folders deep as it has names.
fn path_holds(path: &FolderPath) {
    let depth = path.names().count();
    let mut above = path.clone();
    for _ in 0..depth {
        above = above.parent().expect("a name has a folder above it");
    }
    assert_eq!(above, FolderPath::root());
    assert!(above.parent().is_none() && path.is(path));
}
