//! The fuzz targets on stable Rust: each over its seeds. `make fuzz` lets libFuzzer loose on them.
//!
//! `FWC_BLESS=1` writes the seeds of `netlink` anew, from the specs of the golden files, and those of `iptables_legacy`, from rulesets in the kernel.

#[path = "../fuzz/bodies.rs"]
mod bodies;
mod support;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::kernel::legacy::{self, LegacyTable};
use fwc::net::Family;
use support::{Namespace, compile, folders};

#[test]
fn every_target_holds_over_its_seeds() {
    for (name, body) in bodies::TARGETS {
        let folder = format!("fuzz/seeds/{name}");
        let seeds = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let mut count = 0;
        for path in seeds.map(|seed| seed.unwrap().path()) {
            let data = std::fs::read(&path).unwrap();
            println!("{}", path.display());
            body(&data);
            count += 1;
        }
        assert!(count >= 5, "{folder} has {count} seeds");
    }
}

#[test]
fn every_target_has_its_binary_and_no_other_has_one() {
    let mut files: Vec<String> = std::fs::read_dir("fuzz/targets")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    files.sort();
    let names: Vec<&str> = bodies::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, names);
    let manifest = std::fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn the_seeds_of_netlink_are_messages_of_the_golden_specs() {
    for folder in folders("tests/golden/nft") {
        let seed = format!("fuzz/seeds/netlink/{}", folder.file_name().unwrap().to_str().unwrap());
        if support::golden::is_blessed() {
            let spec = std::fs::read_to_string(folder.join("spec.yaml")).unwrap();
            let header = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };
            std::fs::write(&seed, messages(&Program::of(compile(&spec).ruleset(), &header)).bytes).unwrap();
        }
        assert!(std::fs::exists(&seed).unwrap(), "{seed}: `make bless` writes it");
    }
}

/// What the kernel makes of rulesets, in the form that the target reads.
#[test]
fn the_seeds_of_iptables_legacy_are_tables_of_the_kernel() {
    for (file, family, name) in [
        ("docker.v4", Family::V4, "nat"),
        ("docker.v4", Family::V4, "filter"),
        ("kube-proxy.v4", Family::V4, "nat"),
        ("ufw.v4", Family::V4, "filter"),
        ("ufw.v6", Family::V6, "filter"),
        ("notrack-right.v4", Family::V4, "raw"),
    ] {
        let namespace = Namespace::new("seed");
        let rules = std::fs::read_to_string(format!("tests/rulesets/{file}")).unwrap();
        let restore = if family == Family::V4 { "iptables-legacy-restore" } else { "ip6tables-legacy-restore" };
        namespace.run_with([restore], &rules).expect_success(restore);
        let table = namespace.enter(|| legacy::table(family, name)).unwrap();
        let bytes = seed(family, &table);
        bodies::iptables_legacy(&bytes);
        let path = format!("fuzz/seeds/iptables_legacy/{}-{name}", file.replace('.', "-"));
        if support::golden::is_blessed() {
            std::fs::create_dir_all("fuzz/seeds/iptables_legacy").unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(std::fs::exists(&path).unwrap(), "{path}: `make bless` writes it");
    }
}

fn seed(family: Family, table: &LegacyTable) -> Vec<u8> {
    let mut bytes = vec![u8::from(family == Family::V6)];
    for offset in table.starts.iter().chain(&table.policies) {
        let offset = offset.map_or(u16::MAX, |offset| u16::try_from(offset).unwrap());
        bytes.extend(offset.to_le_bytes());
    }
    bytes.extend(&table.entries);
    bytes
}
