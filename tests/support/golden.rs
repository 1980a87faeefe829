//! Golden files: what users read, as it was read last.

use std::fs;
use std::path::Path;

/// Whether golden files are to be written anew.
pub fn is_blessed() -> bool {
    std::env::var_os("FWC_BLESS").is_some()
}

/// Compares a golden file with what there is now, or writes it under `FWC_BLESS=1`. Tells the difference. Nothing is a file that is not there.
pub fn differs(file: &Path, now: Option<&str>) -> Option<String> {
    match now {
        Some(now) if is_blessed() => {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, now).unwrap();
        }
        None if is_blessed() && file.exists() => fs::remove_file(file).unwrap(),
        _ => {}
    }
    let (now, expected) = (now.unwrap_or_default(), fs::read_to_string(file).unwrap_or_default());
    let difference = similar::TextDiff::from_lines(expected.as_str(), now);
    (now != expected).then(|| format!("{}\n{}", file.display(), difference.unified_diff().header("expected", "now")))
}

/// Fails with all differences.
pub fn hold(differences: impl IntoIterator<Item = Option<String>>) {
    let wrong: Vec<String> = differences.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
