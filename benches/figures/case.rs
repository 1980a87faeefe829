//! Rulesets that packets are sent through, in turns.
//!
//! Each ruleset has a pair of namespaces for itself, so that nothing is loaded anew between two turns.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use super::flood::{Length, flood};
use super::inputs;
use super::report::{Report, Unit};
use super::sample::Samples;
use super::support::cli::{Variant, iptables_apply, try_apply};
use super::support::tools::{command, run};
use super::support::{Link, Spec};
use super::traffic::{Kind, Traffic};

/// How long one ruleset is flooded before the next one has its turn.
const SLICE: Duration = Duration::from_millis(200);
/// Nobody has this hardware address: the server drops the frame before it looks at the packet.
const NOBODY: &str = "02:00:00:00:00:99";

/// What stands between the packet and the closed port that it is sent to.
pub enum Rules {
    /// The packet does not even reach the server's IP layer.
    SendingAlone,
    None,
    /// `fwc apply` of a spec.
    Fwc(Spec),
    /// What a person wrote.
    Nft(String),
    /// The iptables files of `fwc compile` of this spec.
    Files(String, Variant),
    /// What ferm makes of so many services, loaded by iptables-nft.
    OneRuleEach(usize),
}

pub struct Case {
    /// Stays the same from version to version.
    pub id: &'static str,
    pub what: String,
    pub traffic: Traffic,
    pub rules: Rules,
    /// Whether the packets pass the rules.
    pub passes: bool,
}

impl Case {
    pub fn new(id: &'static str, what: impl Into<String>, traffic: Traffic, rules: Rules) -> Case {
        let passes = !matches!(rules, Rules::SendingAlone);
        Case { id, what: what.into(), traffic, rules, passes }
    }

    /// The same for packets that the rules drop.
    pub fn dropping(id: &'static str, what: impl Into<String>, traffic: Traffic, rules: Rules) -> Case {
        Case { passes: false, ..Case::new(id, what, traffic, rules) }
    }

    /// Two hosts with the case's rules on the receiving one.
    fn prepare(&self) -> Link {
        let link = Link::new(&self.id.replace('.', "-"));
        let server = &link.server;
        server.ip(&["route", "add", "local", inputs::NETWORK, "dev", "lo"]);
        server.ip(&["-6", "route", "add", "local", inputs::NETWORK_V6, "dev", "lo"]);
        // No answers: only what comes in is measured. Older kernels have this for the whole machine, and send few.
        let _ = server.enter(|| fs::write("/proc/sys/net/ipv4/icmp_msgs_per_sec", "0"));
        match &self.rules {
            Rules::None => {}
            Rules::SendingAlone => {
                link.client.ip(&["neigh", "replace", Link::SERVER, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"])
            }
            Rules::Fwc(spec) => {
                try_apply(server, spec, &[]).expect_success("fwc apply");
            }
            Rules::Nft(text) => server.write_nft(text),
            Rules::Files(spec, variant) => {
                iptables_apply(server, spec, *variant);
            }
            Rules::OneRuleEach(services) => {
                let ferm = run(&mut command(["ferm", "--noexec", "--lines", "-"]), &inputs::ferm(*services));
                let rules = ferm.expect_success("ferm");
                server.run_with(["iptables-nft-restore"], &rules).expect_success("loading ferm's rules");
            }
        }
        link
    }

    /// A packet that was lost on its way, or dropped where it should not be, cost less than one that arrived: such figures are worth nothing.
    fn verify(&self, sent: u64, arrived: u64) {
        let right = match (self.passes, self.traffic.kind) {
            (true, Kind::Udp | Kind::Blocked) => arrived * 100 >= sent * 99,
            // Nobody counts requests to closed ports of TCP.
            (true, Kind::Syn) => true,
            (false, _) => arrived == 0,
        };
        assert!(right, "{}: {arrived} of {sent} packets arrived", self.what);
    }
}

/// How the packets of a group are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flows {
    /// Over and over: flows that are tracked have their entries.
    Known,
    /// Each packet is the first of its flow.
    New,
}

/// Figures by the ids of cases.
pub struct Figures(HashMap<&'static str, Samples>);

impl Figures {
    pub fn of(&self, id: &str) -> &Samples {
        self.0.get(id).unwrap_or_else(|| panic!("no case {id}"))
    }

    /// Prints one case over another.
    pub fn ratio(&self, report: &mut Report, id: &'static str, what: &str, of: [&str; 2], most: Option<f64>) {
        let target = most.map(super::report::Target::AtMost);
        report.add(id, what, Unit::Ratio, &self.of(of[0]).over(self.of(of[1])), target);
    }

    /// Prints what one case costs more than another.
    pub fn added(&self, report: &mut Report, id: &'static str, what: &str, of: [&str; 2]) {
        report.add(id, what, Unit::NanosecondsPerPacket, &self.of(of[0]).minus(self.of(of[1])), None);
    }
}

/// Sends each case's packets, in turns, and prints what one packet cost.
pub fn measure(cases: &[Case], flows: Flows, rounds: usize, report: &mut Report) -> Figures {
    let mut packets: HashMap<Traffic, Vec<Vec<u8>>> = HashMap::new();
    for case in cases {
        packets.entry(case.traffic).or_insert_with(|| case.traffic.packets());
    }
    let links: Vec<Link> = cases.iter().map(Case::prepare).collect();
    let send = |case: &Case, link: &Link| {
        let length = match flows {
            Flows::Known => Length::Time(SLICE),
            Flows::New => {
                link.server.ok(["conntrack", "-F"]);
                Length::Once
            }
        };
        let before = closed_port(link);
        let cost = flood(&link.client, case.traffic.family, &packets[&case.traffic], length);
        case.verify(cost.sent, closed_port(link) - before);
        cost.nanoseconds
    };
    for (case, link) in cases.iter().zip(&links) {
        // Neighbours are found, and flows that are tracked have their entries from here on.
        flood(&link.client, case.traffic.family, &packets[&case.traffic], Length::Time(SLICE));
    }
    let mut samples: Vec<Samples> = vec![Samples::default(); cases.len()];
    for round in 0..rounds {
        for place in 0..cases.len() {
            let which = if round % 2 == 0 { place } else { cases.len() - 1 - place };
            samples[which].push(send(&cases[which], &links[which]));
        }
    }
    for (case, samples) in cases.iter().zip(&samples) {
        report.add(case.id, &case.what, Unit::NanosecondsPerPacket, samples, None);
    }
    Figures(cases.iter().map(|case| case.id).zip(samples).collect())
}

/// How many UDP packets have reached a closed port of the server so far, in both families.
fn closed_port(link: &Link) -> u64 {
    // Not /proc/net, which shows the namespace of the process's first thread.
    let read =
        |path: &str| link.server.enter(|| fs::read_to_string(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (v4, v6) = (read("/proc/thread-self/net/snmp"), read("/proc/thread-self/net/snmp6"));
    let mut lines = v4.lines().filter_map(|line| line.strip_prefix("Udp:")).map(str::split_whitespace);
    let (names, figures) = (lines.next().expect("names"), lines.next().expect("figures"));
    let (_, v4) = names.zip(figures).find(|(name, _)| *name == "NoPorts").expect("NoPorts");
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Udp6NoPorts")).expect("Udp6NoPorts");
    [v4, v6].map(|figure| figure.trim().parse::<u64>().expect("a figure")).iter().sum()
}
