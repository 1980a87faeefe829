//! What the attributes of nf_tables objects are, as data: which count when two objects are compared, and how.
//!
//! Numbers and meanings are those of `linux/netfilter/nf_tables.h`; what the kernel adds or leaves out on its own is from the `*_dump` functions of
//! `net/netfilter/nf_tables_api.c` and `nft_*.c`.

use crate::kernel::nf_tables::{COMMENT, SET_COMMENT};

/// How one attribute counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Its bytes.
    Bytes,
    /// Its text, without the final NUL.
    Text,
    /// The name of a set; an anonymous one has its real name only in the kernel.
    SetName,
    /// Its value in network order, whatever its width. Zero is the same as absent.
    Number,
    /// A number whose default the kernel writes out.
    NumberOr(u64),
    /// Flags, without these bits, which the kernel sets on its own.
    FlagsWithout(u64),
    /// A text whose default the kernel writes out.
    TextOr(&'static str),
    /// A register. The kernel names the first word of each 16-byte register by its old number.
    Register,
    /// A register that is the same as another attribute's where it is absent.
    RegisterLike(u16),
    /// Attributes inside.
    Nested(&'static [Field]),
    /// Objects of the same kind inside, in order.
    List(&'static [Field]),
    /// One expression. Counts as a list of one under another number.
    ExpressionAs(u16),
    /// Expressions, in order.
    Expressions,
    /// User data, of which only the comment counts, which has this type: the rest is what nft notes for its listings.
    Comment(u8),
    /// Does not count: the kernel's own, or of use within the transaction only.
    Ignored,
}

/// One attribute of an object: its number and what it is.
pub(super) type Field = (u16, Shape);

use Shape::{
    Bytes, Comment, ExpressionAs, Expressions, FlagsWithout, Ignored, List, Nested, Number, NumberOr, Register,
    RegisterLike, SetName, Text, TextOr,
};

/// A table: name, flags, use, handle, pad, user data (its comment is compared apart), owner.
pub(super) const TABLE: &[Field] =
    &[(1, Text), (2, Number), (3, Ignored), (4, Ignored), (5, Ignored), (6, Ignored), (7, Ignored)];

/// The chain whose comment says what the rest of the table is: without the comment.
pub(super) const SIGNATURE: &[Field] = &[
    (1, Text),
    (2, Ignored),
    (3, Text),
    (4, Nested(HOOK)),
    (5, NumberOr(1)),
    (6, Ignored),
    (7, TextOr("filter")),
    (8, Ignored),
    (9, Ignored),
    (10, FlagsWithout(1)),
    (11, Ignored),
    (12, Ignored),
];

/// A chain.
pub(super) const CHAIN: &[Field] = &[
    (1, Text),              // table
    (2, Ignored),           // handle
    (3, Text),              // name
    (4, Nested(HOOK)),      // hook
    (5, NumberOr(1)),       // policy, accept where it is not given
    (6, Ignored),           // use
    (7, TextOr("filter")),  // type
    (8, Ignored),           // counters
    (9, Ignored),           // pad
    (10, FlagsWithout(1)),  // flags; 1 says that it has a hook
    (11, Ignored),          // id
    (12, Comment(COMMENT)), // user data
];

/// A hook: number, priority, device, devices. Number and priority are bytes, because a hook of zeroes is a hook; devices, because they are a list of
/// texts, and fwc makes none.
const HOOK: &[Field] = &[(1, Bytes), (2, Bytes), (3, Text), (4, Bytes)];

/// A rule.
pub(super) const RULE: &[Field] = &[
    (1, Text),             // table
    (2, Text),             // chain
    (3, Ignored),          // handle
    (4, Expressions),      // expressions
    (5, Bytes),            // compat
    (6, Ignored),          // position
    (7, Comment(COMMENT)), // user data
    (8, Ignored),          // pad
    (9, Ignored),          // id
];

/// A set.
pub(super) const SET: &[Field] = &[
    (1, Text),                  // table
    (2, SetName),               // name
    (3, Number),                // flags
    (4, Number),                // key type
    (5, Number),                // key length
    (6, Number),                // data type
    (7, Number),                // data length
    (8, Number),                // policy
    (9, Nested(DESCRIPTION)),   // description
    (10, Ignored),              // id
    (11, Number),               // timeout
    (12, Number),               // garbage collection interval
    (13, Comment(SET_COMMENT)), // user data
    (14, Ignored),              // pad
    (15, Number),               // object type
    (16, Ignored),              // handle
    (17, ExpressionAs(18)),     // expression
    (18, Expressions),          // expressions
    (19, Ignored),              // the kernel's choice of implementation
    (20, Ignored),              // number of elements
];

const DESCRIPTION: &[Field] = &[(1, Number), (2, List(CONCATENATED))];
const CONCATENATED: &[Field] = &[(1, Number)];

/// The data type of verdicts, whose length the kernel writes as the size of its own structure.
pub(super) const VERDICT_TYPE: u64 = 0xffff_ff00;

/// An element.
pub(super) const ELEMENT: &[Field] = &[
    (1, Nested(DATA)),     // key
    (2, Nested(DATA)),     // data
    (3, Number),           // flags
    (4, Number),           // timeout
    (5, Ignored),          // expiration
    (6, Comment(COMMENT)), // user data
    (7, ExpressionAs(11)), // expression
    (8, Ignored),          // pad
    (9, Text),             // object
    (10, Nested(DATA)),    // last key of a range
    (11, Expressions),     // expressions
];

/// Data: a value or a verdict. The code is bytes, because 0 is a verdict (drop).
const DATA: &[Field] = &[(1, Bytes), (2, Nested(&[(1, Bytes), (2, Text)]))];

/// The attributes of an expression's data.
pub(super) fn expression(name: &str) -> Option<&'static [Field]> {
    Some(match name {
        // destination, data
        "immediate" => &[(1, Register), (2, Nested(DATA))],
        // source, destination, length, mask, xor, operation, data
        "bitwise" => &[
            (1, Register),
            (2, Register),
            (3, Number),
            (4, Nested(DATA)),
            (5, Nested(DATA)),
            (6, Number),
            (7, Nested(DATA)),
        ],
        // source, destination, operation, length, size
        "byteorder" => &[(1, Register), (2, Register), (3, Number), (4, Number), (5, Number)],
        // source, operation, data
        "cmp" => &[(1, Register), (2, Number), (3, Nested(DATA))],
        // source, operation, from, to
        "range" => &[(1, Register), (2, Number), (3, Nested(DATA)), (4, Nested(DATA))],
        // set, source, destination, set id, flags
        "lookup" => &[(1, SetName), (2, Register), (3, Register), (4, Ignored), (5, Number)],
        // destination, base, offset, length, source, checksum type, its offset, its flags
        "payload" => &[
            (1, Register),
            (2, Number),
            (3, Number),
            (4, Number),
            (5, Register),
            (6, Number),
            (7, Number),
            (8, Number),
        ],
        // destination, type, offset, length, flags, operation, source
        "exthdr" => &[(1, Register), (2, Number), (3, Number), (4, Number), (5, Number), (6, Number), (7, Register)],
        // destination, key, source
        "meta" | "rt" | "socket" => &[(1, Register), (2, Number), (3, Register)],
        // destination, key, direction (0 is one), source
        "ct" => &[(1, Register), (2, Number), (3, Bytes), (4, Register)],
        // destination, result, flags
        "fib" => &[(1, Register), (2, Number), (3, Number)],
        // type, family, addresses, ports, flags; 1 and 2 say that addresses and ports are given
        "nat" => &[
            (1, Number),
            (2, Number),
            (3, Register),
            (4, RegisterLike(3)),
            (5, Register),
            (6, RegisterLike(5)),
            (7, FlagsWithout(3)),
        ],
        // flags, ports
        "masq" => &[(1, FlagsWithout(3)), (2, Register), (3, RegisterLike(2))],
        // ports, flags
        "redir" => &[(1, Register), (2, RegisterLike(1)), (3, FlagsWithout(3))],
        // rate, unit, burst, type, flags
        "limit" => &[(1, Number), (2, Number), (3, Number), (4, Number), (5, Number), (6, Ignored)],
        // group, prefix, snap length, threshold, level (warning where it is not given), flags
        "log" => &[(1, Number), (2, Text), (3, Number), (4, Number), (5, NumberOr(4)), (6, Number)],
        // type, code
        "reject" => &[(1, Number), (2, Number)],
        // kind and name of the object; or source register, set, set id
        "objref" => &[(1, Number), (2, Text), (3, Register), (4, SetName), (5, Ignored)],
        // bytes, packets: what was counted is not what was loaded
        "counter" => &[(1, Ignored), (2, Ignored), (3, Ignored)],
        // limit, flags
        "connlimit" => &[(1, Number), (2, Number)],
        "notrack" => &[],
        _ => return None,
    })
}

/// Registers 8, 12, 16 and 20 start where the old registers 1 to 4 do, and the kernel lists them so (nft_dump_register).
pub(super) fn register(number: u64) -> u64 {
    match number {
        8 => 1,
        12 => 2,
        16 => 3,
        20 => 4,
        other => other,
    }
}
