//! Messages for the table `inet fwc`, written by hand, so that they can be wrong where a test needs it.

use fwc::kernel::messages::{Messages, Part, Subject};
use fwc::kernel::wire::Request;

/// Collects messages for the table `inet fwc`, as the compiler would send them.
#[derive(Default)]
pub struct Builder {
    pub messages: Messages,
}

const CREATE: u16 = 0x400 | 1;
const APPEND: u16 = 0x800;
const VALUE: u16 = 1;

pub fn be(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

/// An expression: its name, and its data.
pub fn expression(name: &'static str, data: impl FnOnce(Request) -> Request) -> impl FnOnce(Request) -> Request {
    move |list| list.with_nested(1, |one| one.with_text(1, name).with_nested(2, data))
}

/// A verdict in the verdict register.
pub fn verdict(code: i32, chain: Option<&'static str>) -> impl FnOnce(Request) -> Request {
    expression("immediate", move |data| {
        data.with_be32(1, 0).with_nested(2, |data| {
            data.with_nested(2, |verdict| {
                let verdict = verdict.with(1, &code.to_be_bytes());
                chain.map_or(verdict.clone(), |chain| verdict.with_text(2, chain))
            })
        })
    })
}

pub const ACCEPT: i32 = 1;
pub const DROP: i32 = 0;
pub const JUMP: i32 = -3;

/// A comment as user data.
pub fn comment(kind: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![kind, text.len() as u8 + 1];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

impl Builder {
    /// Starts with what replaces the table.
    pub fn new() -> Self {
        let mut builder = Builder::default();
        builder.table();
        builder.push("the old table", 2, 1, |request| request.with_text(1, "fwc"));
        builder.table();
        builder
    }

    fn table(&mut self) {
        self.push("the table", 0, CREATE, |request| {
            request.with_text(1, "fwc").with_be32(2, 0).with(6, &comment(0, "made by hand"))
        });
    }

    pub fn push(&mut self, what: &str, kind: u16, flags: u16, fill: impl FnOnce(Request) -> Request) {
        let subject = Subject { what: what.to_string(), place: None };
        self.messages.index.push(Part { offset: self.messages.bytes.len(), subject });
        self.messages.bytes.extend(fill(Request::netfilter(0x0a00 | kind, flags, 1)).finish(0));
    }

    pub fn base_chain(&mut self, name: &str, hook: u32, priority: i32, policy: Option<u32>) {
        self.push(&format!("chain {name}"), 3, CREATE, |request| {
            let request = request
                .with_text(1, "fwc")
                .with_text(3, name)
                .with_nested(4, |h| h.with_be32(1, hook).with(2, &priority.to_be_bytes()));
            let request = policy.map_or(request.clone(), |policy| request.with_be32(5, policy));
            request.with_text(7, "filter")
        });
    }

    pub fn chain(&mut self, name: &str) {
        self.push(&format!("chain {name}"), 3, CREATE, |request| request.with_text(1, "fwc").with_text(3, name));
    }

    /// A set. `more` writes further attributes.
    pub fn set(&mut self, name: &str, id: u32, flags: u32, key: (u32, u32), more: impl FnOnce(Request) -> Request) {
        self.push(&format!("set {name}"), 9, CREATE, |request| {
            let request = request.with_text(1, "fwc").with_text(2, name).with_be32(3, flags);
            more(request.with_be32(4, key.0).with_be32(5, key.1).with_be32(10, id))
        });
    }

    pub fn elements(&mut self, set: &str, id: Option<u32>, fill: impl FnOnce(Request) -> Request) {
        self.push(&format!("elements of set {set}"), 12, CREATE, |request| {
            let request = request.with_text(1, "fwc").with_text(2, set);
            let request = id.map_or(request.clone(), |id| request.with_be32(4, id));
            request.with_nested(3, fill)
        });
    }

    pub fn rule(&mut self, chain: &str, what: &str, fill: impl FnOnce(Request) -> Request) {
        self.push(what, 6, CREATE | APPEND, |request| {
            request.with_text(1, "fwc").with_text(2, chain).with_nested(4, fill)
        });
    }

    /// A hash set of `count` IPv4 addresses in messages of 1,000, as `1.0.0.0` and on.
    pub fn addresses(&mut self, name: &str, count: u32) {
        let size = count + count / 4 + 64;
        self.set(name, 900, 0, (7, 4), |set| set.with_nested(9, |description| description.with_be32(1, size)));
        for start in (0..count).step_by(1000) {
            let end = count.min(start + 1000);
            self.elements(name, None, |list| {
                (start..end).fold(list, |list, number| list.with_nested(1, key(&be(0x0100_0000 + number))))
            });
        }
    }
}

/// An element's key.
pub fn key(bytes: &[u8]) -> impl FnOnce(Request) -> Request + '_ {
    move |element| element.with_nested(1, |data| data.with(VALUE, bytes))
}
