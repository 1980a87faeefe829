//! FWC436: who besides root could change what root loads.

use std::collections::BTreeSet;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::untrusted_file;
use crate::kernel::ownership::{Distrust, Why, distrust, distrust_directory, is_root};
use crate::source::Sources;

/// Looks at every file that was read for the spec at `spec`, if it is root who is about to load it. Standard input has no owner.
pub(crate) fn check(spec: &Path, sources: &Sources) -> Vec<Diagnostic> {
    if !is_root() {
        return Vec::new();
    }
    let from_input = spec.as_os_str() == "-";
    let directory = spec.is_dir().then(|| distrust_directory(spec)).flatten();
    let files = sources.iter().skip(usize::from(from_input)).filter_map(|source| distrust(Path::new(&source.name)));
    // A directory above all files is told once.
    let mut told = BTreeSet::new();
    directory
        .into_iter()
        .chain(files)
        .filter(|found| told.insert(found.path.clone()))
        .map(|found| report(&found))
        .collect()
}

/// Looks at one file that root is about to load.
pub(crate) fn check_file(path: &Path) -> Vec<Diagnostic> {
    if !is_root() || path.as_os_str() == "-" {
        return Vec::new();
    }
    distrust(path).map(|found| report(&found)).into_iter().collect()
}

fn report(Distrust { path, why }: &Distrust) -> Diagnostic {
    let is_directory = path.is_dir() && !path.is_symlink();
    let path = path.display().to_string();
    match why {
        Why::Owner(user) => untrusted_file::owner(&path, is_directory, *user),
        Why::Mode(mode) => untrusted_file::mode(&path, *mode),
        Why::Unseen(error) => untrusted_file::unseen(&path, &error.to_string()),
    }
}
