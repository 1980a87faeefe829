//! Packets and what must become of them.

use schemars::JsonSchema;

use super::value::{Fate, Interface};

/// A packet and what must become of it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = [{"required": ["expect"]}, {"required": ["tracking"]}]))]
pub(super) struct Test {
    /// `PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type]`. Flags are joined by commas; TCP without flags is `syn`.
    #[schemars(
        regex(pattern = r"^\s*[a-z0-9-]+\s+\S+\s+>\s+\S+(\s+\S+)?\s*$"),
        example = &"tcp 198.51.100.7:40000 > 203.0.113.5:80 syn"
    )]
    packet: String,
    /// Which way it goes. Default: in, to this host.
    direction: Option<Direction>,
    /// Where it comes in, or for `out` where it leaves.
    interface: Option<Interface>,
    /// What conntrack would say if it looked. Default: new.
    state: Option<State>,
    /// What must become of it.
    expect: Option<Fate>,
    /// Whether conntrack must follow it.
    tracking: Option<Tracking>,
    /// true: the mirrored packet, on its way back, is asserted as well.
    reply: Option<bool>,
}

/// Which way a packet goes.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum Direction {
    In,
    Out,
    Forward,
}

/// What conntrack says of a packet.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum State {
    New,
    Established,
    Related,
    Invalid,
}

/// Whether conntrack follows a flow.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum Tracking {
    Tracked,
    Untracked,
}
