//! Requests to nginx, a connection each: what one costs.
//!
//! The figure is the processor time of nginx, wrk and the cores' ksoftirqd over the requests: other work on the machine takes its time from their
//! pace, but hardly from that.

use std::thread::available_parallelism;
use std::time::Duration;

use fwc::net::Family;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use super::Effort;
use super::flood::{on_core, schedstat_of_ksoftirqd};
use super::hand::{self, Extras};
use super::inputs;
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::cli::{Spec, try_apply};
use super::support::{Link, Nginx, Wrk};

/// How long wrk asks before the next ruleset has its turn, in seconds.
const SLICE: u32 = 1;

enum Rules {
    None,
    Fwc(usize),
    Nft(String),
}

/// The web server, and so many services beside it.
fn spec(services: usize) -> String {
    let web = format!("  web:\n    listen: \"{}:80\"\n    stateless: true\n", Link::SERVER);
    inputs::spec(services) + &web
}

fn by_hand(services: usize) -> Rules {
    let more = format!("{} . tcp . 80,\n", Link::SERVER);
    Rules::Nft(hand::stateless(Family::V4, services, Extras { counted: true, more: &more, ..Extras::default() }))
}

const STATEFUL: &str = "table inet hand {
    chain input {
        type filter hook input priority filter; policy drop
        ct state established,related accept
        iif lo accept
        tcp dport 80 ct state new accept
    }
}
";

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("requests to nginx with `Connection: close`, by wrk");
    let cases = [
        ("web.none", "no rules", Rules::None),
        ("web.fwc.1", "fwc apply, the web server and 1 service", Rules::Fwc(1)),
        ("web.fwc.10000", "fwc apply, the web server and 10,000 services", Rules::Fwc(10_000)),
        ("web.hand.10000", "by hand, with counters, the same 10,000", by_hand(10_000)),
        ("web.stateful", "stateful filter by hand", Rules::Nft(STATEFUL.to_owned())),
    ];
    let set_up: Vec<(Link, Nginx)> = cases.iter().map(|(id, _, rules)| prepare(id, rules)).collect();
    let mut samples = vec![Samples::default(); cases.len()];
    let url = format!("http://{}/", Link::SERVER);
    for round in 0..effort.some {
        for place in 0..cases.len() {
            let which = if round % 2 == 0 { place } else { cases.len() - 1 - place };
            let link = &set_up[which].0;
            // An entry each would fill the table.
            if matches!(cases[which].2, Rules::Nft(_)) {
                link.server.ok(["conntrack", "-F"]);
            }
            let before = spent(&set_up[which].1);
            let counts = Wrk::run(&link.client, &url, SLICE);
            assert_eq!(counts.lost(), 0, "{}: {counts:?}", cases[which].1);
            let cost = spent(&set_up[which].1) - before;
            samples[which].push(cost.as_nanos() as f64 / 1_000.0 / counts.requests as f64);
        }
    }
    for ((id, what, _), samples) in cases.iter().zip(&samples) {
        report.add(*id, what, Unit::MicrosecondsPerRequest, samples, None);
    }
    let [none, one, many, hand, stateful] = &samples[..] else { unreachable!("five cases") };
    for (id, what, figures, target) in [
        ("web.ratio.none", "fwc, 10,000 services, over no rules", many.over(none), None),
        ("web.ratio.10000", "fwc, 10,000 services over 1", many.over(one), Some(1.1)),
        ("web.ratio.hand", "fwc over the same by hand, 10,000 services", many.over(hand), Some(1.0)),
        ("web.ratio.stateful", "fwc, 10,000 services, over the stateful filter", many.over(stateful), Some(1.0)),
    ] {
        report.add(id, what, Unit::Ratio, &figures, target.map(Target::AtMost));
    }
}

/// Processor time so far of this nginx, of all wrks that have ended, and of the cores' ksoftirqd.
fn spent(nginx: &Nginx) -> Duration {
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of children");
    let time =
        |value: TimeVal| Duration::from_micros(u64::try_from(value.num_microseconds()).expect("no negative time"));
    let cores = available_parallelism().map_or(1, usize::from);
    let kernel: Duration = (0..cores).map(|core| on_core(&schedstat_of_ksoftirqd(core))).sum();
    time(children.user_time())
        + time(children.system_time())
        + kernel
        + on_core(&format!("/proc/{}/schedstat", nginx.pid()))
}

fn prepare(id: &str, rules: &Rules) -> (Link, Nginx) {
    let link = Link::new(&id.replace('.', "-"));
    match rules {
        Rules::None => {}
        Rules::Fwc(services) => {
            try_apply(&link.server, &Spec::new(&spec(*services)), &[]).expect_success("fwc apply");
        }
        Rules::Nft(text) => link.server.write_nft(text),
    }
    let nginx = Nginx::start(&link.server, &[&format!("{}:80", Link::SERVER)]);
    (link, nginx)
}
