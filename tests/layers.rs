//! Imports go one way: a module uses only modules above it in this list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the top down. Modules in one row do not use each other.
const LAYERS: &[&[&str]] = &[
    &["few", "hash", "threads"],
    &["net"],
    &["source"],
    &["diagnostic"],
    &["spec"],
    &["parse"],
    &["schema"],
    &["policy"],
    &["ruleset"],
    &["lower", "packet"],
    &["sys"],
    &["backend"],
    &["kernel"],
    &["state"],
    &["dump"],
    &["compile"],
    &["proof"],
    &["import"],
    &["doctor"],
    &["cli"],
    &["command"],
];

/// The only module that may hold `unsafe`.
const UNSAFE: &str = "sys";

fn rank(module: &str) -> usize {
    LAYERS.iter().position(|row| row.contains(&module)).unwrap_or_else(|| panic!("`{module}` has no place in LAYERS"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level module of a file, and its code without comments.
fn modules() -> Vec<(String, PathBuf, String)> {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    let mut modules = Vec::new();
    for path in all {
        let inside = path.strip_prefix("src").unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first).to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        modules.push((module, path, code));
    }
    modules
}

/// The modules that a text names as `crate::module`, also in `use crate::{a, b::c}`.
fn used(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut item) = (0, String::new());
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.extend(first_word(&std::mem::take(&mut item))),
                    _ if depth == 0 => item.push(character),
                    _ => {}
                }
            }
            found.extend(first_word(&item));
        } else {
            found.extend(first_word(rest));
        }
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn imports_go_one_way() {
    let mut seen = 0;
    for (module, path, code) in modules() {
        if module == "lib" || module == "main" {
            continue;
        }
        for other in used(&code) {
            seen += 1;
            let allowed = other == module || rank(&other) < rank(&module);
            assert!(allowed, "{} uses crate::{other}, which is not above `{module}`", path.display());
        }
    }
    assert!(seen > 50, "only {seen} imports were seen");
}

#[test]
fn unsafe_stands_in_one_module() {
    for (module, path, code) in modules() {
        let lines = code.lines().filter(|line| line.contains("unsafe ") || line.contains("unsafe{"));
        for line in lines.filter(|line| !line.contains("unsafe_code")) {
            assert_eq!(module, UNSAFE, "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_reader_of_imports_reads_every_form() {
    let code =
        "use crate::net::{A, B};\nuse crate::{source::Place, spec::{self, X}, policy};\nlet x = crate::lower::y();";
    let expected = ["lower", "net", "policy", "source", "spec"].map(String::from);
    assert_eq!(used(code), BTreeSet::from(expected));
}
