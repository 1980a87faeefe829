//! Expressions of rules through libnftnl: those that the nftnl crate does not have, or ties to one register; and messages into a buffer.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;

use nftnl::nftnl_sys as sys;
use nftnl::{MsgType, NlMsg};

/// `NFT_LOOKUP_F_INV`
const NOT_IN_SET: u32 = 1;

/// A register of 4 bytes, from 0 to 15: where expressions leave their values for each other. Longer values take several in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(u32);

impl Register {
    /// The first one.
    pub const FIRST: Register = Register(0);

    /// The register by its number; beyond the last one it stays at the last, and the kernel refuses what does not fit.
    #[must_use]
    pub fn word(number: usize) -> Register {
        Register(u32::try_from(number).unwrap_or(u32::MAX).min(15))
    }

    /// The kernel's number: a register that starts one of the four of 16 bytes has that one's number (`NFT_REG_1` = 1), others count
    /// from `NFT_REG32_00` = 8.
    fn number(self) -> u32 {
        if self.0.is_multiple_of(4) { 1 + self.0 / 4 } else { 8 + self.0 }
    }
}

/// How [`Expression::compare`] compares, byte by byte from the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

/// Where [`Expression::payload`] counts its offset from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The IP header.
    Network,
    /// The header behind it.
    Transport,
}

/// What translates: [`Expression::nat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    U8(u8),
    U32(u32),
    Bytes(Vec<u8>),
    Text(CString),
}

/// An expression: its kind and attributes. The constructors see to it that each attribute has the type that libnftnl reads for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    kind: &'static CStr,
    attributes: Vec<(u32, Value)>,
}

/// `NF_NAT_RANGE_PROTO_SPECIFIED`: the range names a port.
const WITH_PORT: u32 = 2;
/// `IP_CT_DIR_ORIGINAL`
const ORIGINAL: u8 = 0;
/// `NFTA_FIB_F_DADDR`
const FIB_DESTINATION: u32 = 1 << 1;
/// `NFT_FIB_RESULT_ADDRTYPE`
const FIB_ADDRESS_TYPE: u32 = 3;

impl Expression {
    fn new(kind: &'static CStr, attributes: Vec<(u32, Value)>) -> Self {
        Expression { kind, attributes }
    }

    /// Loads a property of the packet; `key` is one of `NFT_META_*`.
    #[must_use]
    pub fn meta(key: u32, to: Register) -> Self {
        let attributes =
            vec![(sys::NFTNL_EXPR_META_KEY, Value::U32(key)), (sys::NFTNL_EXPR_META_DREG, Value::U32(to.number()))];
        Self::new(c"meta", attributes)
    }

    /// Loads `length` bytes at `offset`.
    #[must_use]
    pub fn payload(header: Header, offset: u32, length: u32, to: Register) -> Self {
        let base = match header {
            Header::Network => sys::libc::NFT_PAYLOAD_NETWORK_HEADER,
            Header::Transport => sys::libc::NFT_PAYLOAD_TRANSPORT_HEADER,
        };
        let attributes = vec![
            (sys::NFTNL_EXPR_PAYLOAD_DREG, Value::U32(to.number())),
            (sys::NFTNL_EXPR_PAYLOAD_BASE, Value::U32(base.cast_unsigned())),
            (sys::NFTNL_EXPR_PAYLOAD_OFFSET, Value::U32(offset)),
            (sys::NFTNL_EXPR_PAYLOAD_LEN, Value::U32(length)),
        ];
        Self::new(c"payload", attributes)
    }

    /// Loads `length` bytes at `offset` of an IPv6 extension header; `kind` is the header's protocol number.
    #[must_use]
    pub fn extension_header(kind: u8, offset: u32, length: u32, to: Register) -> Self {
        let attributes = vec![
            (sys::NFTNL_EXPR_EXTHDR_DREG, Value::U32(to.number())),
            (sys::NFTNL_EXPR_EXTHDR_TYPE, Value::U8(kind)),
            (sys::NFTNL_EXPR_EXTHDR_OFFSET, Value::U32(offset)),
            (sys::NFTNL_EXPR_EXTHDR_LEN, Value::U32(length)),
        ];
        Self::new(c"exthdr", attributes)
    }

    /// Loads what conntrack knows; `key` is one of `NFT_CT_*`.
    #[must_use]
    pub fn conntrack(key: u32, to: Register) -> Self {
        let attributes =
            vec![(sys::NFTNL_EXPR_CT_KEY, Value::U32(key)), (sys::NFTNL_EXPR_CT_DREG, Value::U32(to.number()))];
        Self::new(c"ct", attributes)
    }

    /// The same, as it was in the first packet of the flow before any translation.
    #[must_use]
    pub fn conntrack_original(key: u32, to: Register) -> Self {
        let mut expression = Self::conntrack(key, to);
        expression.attributes.push((sys::NFTNL_EXPR_CT_DIR, Value::U8(ORIGINAL)));
        expression
    }

    /// Loads the type that the routing table gives the destination (`RTN_*`, 4 bytes, host order).
    #[must_use]
    pub fn destination_type(to: Register) -> Self {
        let attributes = vec![
            (sys::NFTNL_EXPR_FIB_DREG, Value::U32(to.number())),
            (sys::NFTNL_EXPR_FIB_RESULT, Value::U32(FIB_ADDRESS_TYPE)),
            (sys::NFTNL_EXPR_FIB_FLAGS, Value::U32(FIB_DESTINATION)),
        ];
        Self::new(c"fib", attributes)
    }

    /// Ends the rule unless the register compares so with `data` (64 bytes at most).
    #[must_use]
    pub fn compare(from: Register, how: Comparison, data: &[u8]) -> Self {
        let operator = match how {
            Comparison::Equal => sys::libc::NFT_CMP_EQ,
            Comparison::NotEqual => sys::libc::NFT_CMP_NEQ,
            Comparison::AtMost => sys::libc::NFT_CMP_LTE,
            Comparison::AtLeast => sys::libc::NFT_CMP_GTE,
        };
        let attributes = vec![
            (sys::NFTNL_EXPR_CMP_SREG, Value::U32(from.number())),
            (sys::NFTNL_EXPR_CMP_OP, Value::U32(operator.cast_unsigned())),
            (sys::NFTNL_EXPR_CMP_DATA, short(data)),
        ];
        Self::new(c"cmp", attributes)
    }

    /// Clears all bits that are not in `mask`, in place (64 bytes at most).
    #[must_use]
    pub fn mask(register: Register, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
        let attributes = vec![
            (sys::NFTNL_EXPR_BITWISE_SREG, Value::U32(register.number())),
            (sys::NFTNL_EXPR_BITWISE_DREG, Value::U32(register.number())),
            (sys::NFTNL_EXPR_BITWISE_LEN, Value::U32(length)),
            (sys::NFTNL_EXPR_BITWISE_MASK, short(mask)),
            (sys::NFTNL_EXPR_BITWISE_XOR, short(&vec![0; mask.len()])),
        ];
        Self::new(c"bitwise", attributes)
    }

    /// Ends the rule unless the key that starts in the register is in the set (`inverted`: is not), which is known by its name and by its id
    /// in the transaction.
    #[must_use]
    pub fn lookup(from: Register, set: &str, id: u32, inverted: bool) -> Self {
        let mut attributes = vec![
            (sys::NFTNL_EXPR_LOOKUP_SREG, Value::U32(from.number())),
            (sys::NFTNL_EXPR_LOOKUP_SET, text(set)),
            (sys::NFTNL_EXPR_LOOKUP_SET_ID, Value::U32(id)),
        ];
        if inverted {
            attributes.push((sys::NFTNL_EXPR_LOOKUP_FLAGS, Value::U32(NOT_IN_SET)));
        }
        Self::new(c"lookup", attributes)
    }

    /// Puts `data` into a register (64 bytes at most).
    #[must_use]
    pub fn immediate(to: Register, data: &[u8]) -> Self {
        let attributes =
            vec![(sys::NFTNL_EXPR_IMM_DREG, Value::U32(to.number())), (sys::NFTNL_EXPR_IMM_DATA, short(data))];
        Self::new(c"immediate", attributes)
    }

    /// A verdict: `NF_ACCEPT`, `NF_DROP`, or one of `NFT_*`; with the chain for a jump.
    #[must_use]
    pub fn verdict(code: i32, chain: Option<&str>) -> Self {
        let verdict_register = sys::libc::NFT_REG_VERDICT.cast_unsigned();
        let mut attributes = vec![
            (sys::NFTNL_EXPR_IMM_DREG, Value::U32(verdict_register)),
            (sys::NFTNL_EXPR_IMM_VERDICT, Value::U32(code.cast_unsigned())),
        ];
        attributes.extend(chain.map(|chain| (sys::NFTNL_EXPR_IMM_CHAIN, text(chain))));
        Self::new(c"immediate", attributes)
    }

    /// Counts packets and bytes.
    #[must_use]
    pub fn counter() -> Self {
        Self::new(c"counter", Vec::new())
    }

    /// Marks the packet as untracked.
    #[must_use]
    pub fn notrack() -> Self {
        Self::new(c"notrack", Vec::new())
    }

    /// Source NAT to the outgoing interface's address.
    #[must_use]
    pub fn masquerade() -> Self {
        Self::new(c"masq", Vec::new())
    }

    /// Destination NAT to this host, to the port in the register (network order).
    #[must_use]
    pub fn redirect(port: Register) -> Self {
        let attributes = vec![
            (sys::NFTNL_EXPR_REDIR_REG_PROTO_MIN, Value::U32(port.number())),
            (sys::NFTNL_EXPR_REDIR_FLAGS, Value::U32(WITH_PORT)),
        ];
        Self::new(c"redir", attributes)
    }

    /// NAT to the address, and to the port if given, in these registers. `family` is `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    #[must_use]
    pub fn nat(kind: Nat, family: u32, address: Register, port: Option<Register>) -> Self {
        let code = match kind {
            Nat::Source => sys::libc::NFT_NAT_SNAT,
            Nat::Destination => sys::libc::NFT_NAT_DNAT,
        };
        let mut attributes = vec![
            (sys::NFTNL_EXPR_NAT_TYPE, Value::U32(code.cast_unsigned())),
            (sys::NFTNL_EXPR_NAT_FAMILY, Value::U32(family)),
            (sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, Value::U32(address.number())),
        ];
        if let Some(port) = port {
            attributes.push((sys::NFTNL_EXPR_NAT_REG_PROTO_MIN, Value::U32(port.number())));
            attributes.push((sys::NFTNL_EXPR_NAT_FLAGS, Value::U32(WITH_PORT)));
        }
        Self::new(c"nat", attributes)
    }
}

/// Data for a register: libnftnl copies it into 64 bytes, so no more than that.
fn short(data: &[u8]) -> Value {
    Value::Bytes(data.iter().copied().take(64).collect())
}

/// A name without NUL bytes; names of sets and chains have none.
fn text(name: &str) -> Value {
    let bytes: Vec<u8> = name.bytes().filter(|&byte| byte != 0).collect();
    Value::Text(CString::new(bytes).unwrap_or_default())
}

impl nftnl::expr::Expression for Expression {
    fn to_expr(&self, _rule: &nftnl::Rule<'_>) -> NonNull<sys::nftnl_expr> {
        // SAFETY: the kind is a NUL-terminated string that libnftnl only reads.
        let allocated = unsafe { sys::nftnl_expr_alloc(self.kind.as_ptr()) };
        let Some(expression) = NonNull::new(allocated) else {
            // Out of memory for a few bytes, or a libnftnl without this kind: the nftnl crate ends the process there as well.
            std::process::abort();
        };
        for (attribute, value) in &self.attributes {
            let attribute = u16::try_from(*attribute).unwrap_or(0);
            let pointer = expression.as_ptr();
            // SAFETY: the expression lives; libnftnl copies each value before it returns; the constructors give each attribute the type
            // that libnftnl reads for it, and data of 64 bytes at most, the size of the buffer that it is copied into.
            unsafe {
                match value {
                    Value::U8(value) => sys::nftnl_expr_set_u8(pointer, attribute, *value),
                    Value::U32(value) => sys::nftnl_expr_set_u32(pointer, attribute, *value),
                    Value::Bytes(bytes) => {
                        let length = u32::try_from(bytes.len()).unwrap_or(0);
                        sys::nftnl_expr_set(pointer, attribute, bytes.as_ptr().cast(), length);
                    }
                    Value::Text(text) => {
                        sys::nftnl_expr_set_str(pointer, attribute, text.as_ptr());
                    }
                }
            }
        }
        expression
    }
}

/// Room for one message at a time, used again for each.
#[derive(Debug)]
pub struct Scratch {
    // Of u64, so that the header is aligned.
    words: Vec<u64>,
}

impl Default for Scratch {
    fn default() -> Self {
        let bytes = nftnl::nft_nlmsg_maxsize() as usize;
        Scratch { words: vec![0; bytes.div_ceil(8)] }
    }
}

/// Bytes of `struct nlmsghdr`.
const MESSAGE_HEADER: usize = 16;

impl Scratch {
    /// Appends the message that adds an object, with sequence number 0, its length a multiple of 4.
    pub fn append<M: NlMsg>(&mut self, message: &M, to: &mut Vec<u8>) {
        let start = self.words.as_mut_ptr();
        // SAFETY: the buffer has the `nft_nlmsg_maxsize` bytes that `write` asks for, and nothing else refers to it.
        unsafe { message.write(start.cast(), 0, MsgType::Add) };
        let room = self.words.len() * 8;
        // SAFETY: the words are initialised, and as bytes they have `room` of them; the borrow ends before the next write.
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), room) };
        let length = bytes.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length)) as usize;
        debug_assert!((MESSAGE_HEADER..=room).contains(&length));
        to.extend_from_slice(bytes.get(..length).unwrap_or(&[]));
        to.resize(to.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_numbers_of_the_kernel() {
        // As nft prints them: reg 1, 9, 10, 2, 3, 4, 21.
        let numbers: Vec<u32> = [0, 1, 2, 4, 8, 12, 13].map(|word| Register::word(word).number()).to_vec();
        assert_eq!(numbers, [1, 9, 10, 2, 3, 4, 21]);
        assert_eq!(Register::word(99), Register::word(15));
    }

    #[test]
    fn no_more_data_goes_to_the_library_than_it_has_room_for() {
        let Value::Bytes(bytes) = short(&[7; 100]) else { panic!("data is bytes") };
        assert_eq!(bytes.len(), 64);
        assert_eq!(text("a\0b"), Value::Text(c"ab".into()));
    }
}
