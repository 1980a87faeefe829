//! The estimate of the kernel's memory against what the kernel charges to a control group of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::inputs;
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::tools::{command, run};
use super::support::{Namespace, Spec, cli};

/// The process that loads has ended by then, and what the kernel frees behind its back is free.
const SETTLE: Duration = Duration::from_millis(300);

pub fn measure(report: &mut Report) {
    report.group("kernel memory, estimated by fwc check over what the kernel charges");
    let addresses: String = inputs::blocked(50_000).map(|address| format!("{address}\n")).collect();
    let kinds: [(&'static str, &str, Spec); 4] = [
        ("memory.services", "10,000 services: counted elements of several fields", Spec::new(&inputs::spec(10_000))),
        ("memory.list", "a list of 50,000 addresses", blocking(&addresses)),
        ("memory.ranges", "a list of 50,000 prefixes: ranges", blocking(&inputs::prefixes(50_000))),
        ("memory.ports", "2,000 services with ranges of ports", Spec::new(&inputs::port_ranges(2_000))),
    ];
    for (id, what, spec) in kinds {
        let path = spec.path();
        let Some(charged) = charged(&path) else {
            println!("left out: no control group here counts the kernel's memory");
            return;
        };
        let mut ratio = Samples::default();
        ratio.push(estimated(&path) / charged);
        report.add(
            id,
            &format!("{what} ({:.1} MB)", charged / 1e6),
            Unit::Ratio,
            &ratio,
            Some(Target::Within(0.9, 1.1)),
        );
    }
}

fn blocking(list: &str) -> Spec {
    Spec::new(inputs::BLOCK_SPEC).file(inputs::BLOCK_FILE, list)
}

fn estimated(path: &str) -> f64 {
    let said = cli::fwc(&["check", "--format", "json", path]).expect_success("fwc check");
    let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    document["specs"][0]["kernel_memory"]["bytes"].as_f64().expect("an estimate")
}

/// Bytes that the kernel holds for the spec's table: what loading it by `nft -f` has charged to a control group, once the process has ended.
fn charged(path: &str) -> Option<f64> {
    let file = path.replace("spec.yaml", "fwc.nft");
    cli::fwc(&["compile", path, "--target", "nft", "-o", &file]).expect_success("fwc compile");
    let namespace = Namespace::new("memory");
    let group = Group::make()?;
    let before = group.kernel()?;
    let load =
        format!("echo $$ >{}/cgroup.procs && exec ip netns exec {} nft -f {file}", group.0.display(), namespace.name());
    run(&mut command(["sh", "-c", &load]), "").expect_success("nft");
    sleep(SETTLE);
    let after = group.kernel()?;
    drop(namespace);
    sleep(SETTLE);
    Some(after - before)
}

/// A memory control group, which goes when it is dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where the kernel or the container has none.
    fn make() -> Option<Group> {
        let name = format!("fwc-bench-{}", std::process::id());
        let group = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
            .map(|parent| Group(Path::new(parent).join(&name)))
            .into_iter()
            .find(|group| fs::create_dir(&group.0).is_ok())?;
        group.kernel().is_some().then_some(group)
    }

    /// Bytes of kernel memory: version 1 has a file for them, version 2 (from Linux 5.18 on) a line among others.
    fn kernel(&self) -> Option<f64> {
        let read = |file: &str| fs::read_to_string(self.0.join(file)).ok();
        let first = read("memory.kmem.usage_in_bytes").and_then(|text| text.trim().parse().ok());
        let line = |text: String| text.lines().find_map(|line| line.strip_prefix("kernel ")?.parse().ok());
        first.or_else(|| line(read("memory.stat")?))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
