//! The artifacts that a spec compiles to, by target.

use std::fmt::Write as _;

use super::host::load;
use crate::backend::iptables::{Files, IPSET_FILE, V4_FILE, V6_FILE};
use crate::cli::Target;
use crate::compile::Compiled;
use crate::net::Family;
use crate::policy::Sizing;

/// A text in parts that stand one behind the other: what is long is not copied to put it together.
pub(super) type Text = Vec<Vec<u8>>;

/// An artifact: its file name in a directory of all, and its text.
pub(super) struct Artifact {
    pub(super) file: &'static str,
    pub(super) text: Text,
}

/// The files of a directory of all that only some specs have.
pub(super) const OPTIONAL: [&str; 4] =
    ["rules.ipset", "90-fwc-conntrack.conf", "fwc-conntrack.conf", "fwc-modules.conf"];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every artifact that the spec has: the ipset file only where a set is that large, the table's size only where the spec gives one.
pub(super) fn all(compiled: &Compiled) -> Vec<Artifact> {
    let header = load::header(compiled);
    let files = Files::of(compiled.ruleset(), &header);
    let [v4, v6] = files.rules(Family::BOTH);
    let of_all = [("fwc.nft", vec![nft_text(compiled).into_bytes()]), (V4_FILE, v4), (V6_FILE, v6)];
    let of_some = [
        (IPSET_FILE, files.ipset()),
        ("90-fwc-conntrack.conf", sysctl(compiled)),
        ("fwc-conntrack.conf", modprobe(compiled)),
        ("fwc-modules.conf", modules_load(compiled)),
    ];
    let of_some = of_some.into_iter().filter_map(|(file, text)| Some((file, vec![text?.into_bytes()])));
    of_all.into_iter().chain(of_some).map(|(file, text)| Artifact { file, text }).collect()
}

/// One artifact, and nothing that it does not need; `None` where the spec has nothing to say in it.
pub(super) fn one(compiled: &Compiled, target: Target) -> Option<Text> {
    let text = match target {
        Target::Nft => Some(nft_text(compiled)),
        Target::Sysctl => sysctl(compiled),
        Target::Modprobe => modprobe(compiled),
        Target::ModulesLoad => modules_load(compiled),
        Target::Iptables => return Some(rules(compiled, Family::V4)),
        Target::Ip6tables => return Some(rules(compiled, Family::V6)),
        Target::Ipset => Files::of(compiled.ruleset(), &load::header(compiled)).ipset(),
    };
    text.map(|text| vec![text.into_bytes()])
}

fn rules(compiled: &Compiled, family: Family) -> Text {
    let header = load::header(compiled);
    let [text] = Files::of(compiled.ruleset(), &header).rules([family]);
    text
}

/// Rules for iptables-restore or ip6tables-restore, and the sets that they need, if any.
pub(super) fn rules_with_sets(compiled: &Compiled, family: Family) -> (Text, Option<String>) {
    let header = load::header(compiled);
    let files = Files::of(compiled.ruleset(), &header);
    let [text] = files.rules([family]);
    (text, files.ipset())
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
