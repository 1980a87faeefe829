//! The artifacts that a spec compiles to, by target.

use std::fmt::Write as _;

use super::host::load;
use crate::backend::iptables;
use crate::cli::Target;
use crate::compile::Compiled;
use crate::policy::Sizing;

/// An artifact: its file name in a directory of all, and its text.
pub(super) struct Artifact {
    pub(super) file: &'static str,
    pub(super) text: String,
}

/// The files of a directory of all that only some specs have.
pub(super) const OPTIONAL: [&str; 4] =
    ["rules.ipset", "90-fwc-conntrack.conf", "fwc-conntrack.conf", "fwc-modules.conf"];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every artifact that the spec has: the ipset file only where a set is that large, the table's size only where the spec gives one.
pub(super) fn all(compiled: &Compiled) -> Vec<Artifact> {
    let mut artifacts = vec![Artifact { file: "fwc.nft", text: nft_text(compiled) }];
    let files = iptables_files(compiled);
    artifacts.push(Artifact { file: "rules.v4", text: files.v4 });
    artifacts.push(Artifact { file: "rules.v6", text: files.v6 });
    let ipset = files.ipset.map(|text| Artifact { file: "rules.ipset", text });
    let sysctl = sysctl(compiled).map(|text| Artifact { file: "90-fwc-conntrack.conf", text });
    let modprobe = modprobe(compiled).map(|text| Artifact { file: "fwc-conntrack.conf", text });
    let modules = modules_load(compiled).map(|text| Artifact { file: "fwc-modules.conf", text });
    artifacts.extend(ipset.into_iter().chain(sysctl).chain(modprobe).chain(modules));
    artifacts
}

/// One artifact, and nothing that it does not need; `None` where the spec has nothing to say in it.
pub(super) fn one(compiled: &Compiled, target: Target) -> Option<String> {
    match target {
        Target::Nft => Some(nft_text(compiled)),
        Target::Sysctl => sysctl(compiled),
        Target::Modprobe => modprobe(compiled),
        Target::ModulesLoad => modules_load(compiled),
        Target::Iptables => Some(iptables_files(compiled).v4),
        Target::Ip6tables => Some(iptables_files(compiled).v6),
        Target::Ipset => iptables_files(compiled).ipset,
    }
}

/// Rules for iptables-restore or ip6tables-restore, and the sets that they need, if any. Both are made in one go.
pub(super) fn rules_with_sets(compiled: &Compiled, is_ipv6: bool) -> (String, Option<String>) {
    let files = iptables_files(compiled);
    (if is_ipv6 { files.v6 } else { files.v4 }, files.ipset)
}

/// The files are made together: they share the names of the ipsets.
fn iptables_files(compiled: &Compiled) -> iptables::Artifacts {
    iptables::artifacts(compiled.ruleset(), &load::header(compiled))
}

/// Signed like a table that `fwc apply` loads, so that `fwc status` knows it whoever loaded it.
fn nft_text(compiled: &Compiled) -> String {
    load::program(compiled).text()
}

fn title(compiled: &Compiled, how: &str) -> String {
    format!("# fwc {VERSION}, spec sha256:{}\n# {how}\n", compiled.hash)
}

fn sysctl(compiled: &Compiled) -> Option<String> {
    let Sizing { max, buckets, timeouts } = &compiled.policy.sizing;
    if max.is_none() && buckets.is_none() && timeouts.is_empty() {
        return None;
    }
    let mut text = title(
        compiled,
        "Put into /etc/sysctl.d; load with `sysctl -p FILE`. The keys exist once nf_conntrack is loaded: see `fwc compile --target modules-load`.",
    );
    // Writing the buckets first keeps the chains short while the table grows.
    if let Some(buckets) = buckets {
        let _ = writeln!(text, "net.netfilter.nf_conntrack_buckets = {}", buckets.value);
    }
    if let Some(max) = max {
        let _ = writeln!(text, "net.netfilter.nf_conntrack_max = {}", max.value);
    }
    for (timeout, seconds) in timeouts.iter().map(|timeout| timeout.value) {
        let _ = writeln!(text, "net.netfilter.{} = {}", timeout.sysctl(), seconds.0);
    }
    Some(text)
}

fn modprobe(compiled: &Compiled) -> Option<String> {
    let buckets = compiled.policy.sizing.buckets?.value;
    let mut text = title(compiled, "Put into /etc/modprobe.d: the hash size from the moment the module is loaded.");
    let _ = writeln!(text, "options nf_conntrack hashsize={buckets}");
    Some(text)
}

/// systemd-modules-load.service runs before systemd-sysctl.service: what it loads has its sysctls when sysctl.d is read. Without this, the first
/// rule that tracks loads nf_conntrack, long after that.
fn modules_load(compiled: &Compiled) -> Option<String> {
    sysctl(compiled)?;
    let how = "Put into /etc/modules-load.d: loads nf_conntrack before sysctl.d is read, so that its keys exist.";
    Some(format!("{}nf_conntrack\n", title(compiled, how)))
}
