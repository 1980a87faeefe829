//! The keys and words of the language, each list once: the decoder reads by them and the schema is tested against them.

use crate::spec::{Direction, Fate, NatConflict, State, Tracking};

/// The keys of a spec.
pub const SPEC: [&str; 12] = [
    "version",
    "policy",
    "sets",
    "block",
    "services",
    "clients",
    "forward",
    "nat",
    "nat_conflict",
    "conntrack",
    "icmp",
    "tests",
];
/// The keys of `policy`.
pub const POLICY: [&str; 3] = ["input", "output", "forward"];
/// The keys of a set that is read from a file.
pub const SET: [&str; 1] = ["file"];
/// The keys of a service.
pub const SERVICE: [&str; 5] = ["listen", "protocol", "stateless", "from", "interface"];
/// The keys of a client.
pub const CLIENT: [&str; 4] = ["to", "protocol", "stateless", "local_ports"];
/// The keys of a forward.
pub const FORWARD: [&str; 4] = ["to", "protocol", "stateless", "from"];
/// The kinds of a `nat` item, of which it has exactly one.
pub const NAT: [&str; 4] = ["masquerade", "snat", "dnat", "redirect"];
/// The keys of `masquerade`.
pub const MASQUERADE: [&str; 2] = ["out", "from"];
/// The keys of `snat`.
pub const SNAT: [&str; 3] = ["out", "from", "to"];
/// The keys of `dnat`.
pub const DNAT: [&str; 3] = ["listen", "protocol", "to"];
/// The keys of `redirect`.
pub const REDIRECT: [&str; 3] = ["listen", "protocol", "to"];
/// The keys of `conntrack`, where it is not the word `disabled`.
pub const CONNTRACK: [&str; 3] = ["max", "buckets", "timeouts"];
/// The keys of `icmp`.
pub const ICMP: [&str; 1] = ["ping"];
/// The keys of a test.
pub const TEST: [&str; 7] = ["packet", "direction", "interface", "state", "expect", "tracking", "reply"];

/// The words of a policy and of `expect`.
pub const FATE: [(&str, Fate); 2] = [("accept", Fate::Accept), ("drop", Fate::Drop)];
/// The words of `direction`.
pub const DIRECTION: [(&str, Direction); 3] =
    [("in", Direction::In), ("out", Direction::Out), ("forward", Direction::Forward)];
/// The words of `state`.
pub const STATE: [(&str, State); 4] = [
    ("new", State::New),
    ("established", State::Established),
    ("related", State::Related),
    ("invalid", State::Invalid),
];
/// The words of `tracking`.
pub const TRACKING: [(&str, Tracking); 2] = [("tracked", Tracking::Tracked), ("untracked", Tracking::Untracked)];
/// The word of `nat_conflict`.
pub const NAT_CONFLICT: [(&str, NatConflict); 1] = [("overlap", NatConflict::Overlap)];
/// The word that `conntrack` may be.
pub const DISABLED: &str = "disabled";
