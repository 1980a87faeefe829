//! What a program takes of the kernel's memory, estimated.
//!
//! Counted as the allocator of Linux 6.18 on a 64-bit machine hands it out (`net/netfilter/nft_set_{hash,rbtree,pipapo}.c`,
//! `include/net/netfilter/nf_tables.h`), with what the accounting of control groups adds: 8 bytes an object. `make bench` loads sets of each kind
//! from a control group of their own and holds the estimate against what the kernel charged to it: within a tenth (`benches/README.md`).
//! What may differ on another kernel: before 5.18 the accounting works otherwise, and up to 6.17 a tree of ranges has no list beside it. While a
//! transaction replaces a table, both are there, so that it takes twice as much for a moment.

use super::key_type::{self, width};
use super::keys::{COMMENT, Value};
use super::program::{Elements, Program, Set};
use crate::net::{AddrRange, Name};
use crate::policy::EntryId;

/// Bytes of kernel memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelMemory {
    /// Once.
    pub shared: u64,
    /// For each processor that the kernel may have: the counters.
    pub per_processor: u64,
}

/// The largest size of small objects; larger ones are whole pages, a power of two of them (`KMALLOC_MAX_CACHE_SIZE`).
const SMALL: u64 = 8192;
/// Of every accounted object (`struct obj_cgroup *`).
const ACCOUNT: u64 = 8;

/// `struct nft_set_ext`: the offsets of an element's parts, aligned.
const EXTENSIONS: u64 = 16;
/// `struct hlist_node`, or of a set without a size a `struct rhash_head` and a sequence number.
const HASHED: u64 = 16;
/// `struct rb_node`.
const TREE: u64 = 24;
/// `struct nft_set_elem_expr` with `struct nft_expr` and a counter's pointer.
const COUNTER: u64 = 24;
/// A counter's packets and bytes.
const COUNTED: u64 = 16;
/// The accounting of a counter: a pointer for each 4 bytes of it (`PCPU_MIN_ALLOC_SIZE`).
const COUNTER_ACCOUNT: u64 = COUNTED / 4 * ACCOUNT;
/// Of an element's user data: the length of all, type and length of the comment, and the byte that ends it.
const USER_DATA: u64 = 4;
/// Two pointers for each range beside the tree (`struct nft_array_interval`).
const RANGE: u64 = 16;
/// `struct nft_set` with its name and operations.
const SET: u64 = 1024;
/// A chain with its name, and the copies of its rules that packets go through; rules with a few expressions, and a comment.
const CHAIN: u64 = 1024;
const RULE: u64 = 640;

/// A field of a set of ranges with several fields has a table for each 8 bits while it is no larger than this, else for each 4
/// (`NFT_PIPAPO_LT_SIZE_HIGH`).
const WIDE: u64 = 1 << 21;
/// `NFT_PIPAPO_ALIGN_HEADROOM` on x86.
const HEADROOM: u64 = 24;
/// Prefixes that a field has room for beyond those that it has: up to a page of them, half a page on average.
const SPARE: u64 = 256;

/// Which part of a spec's entries a program was made of.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Entries of the program; not 0 where there are any.
    pub entries: usize,
    /// Entries of the spec.
    pub of: usize,
}

impl Part {
    /// How many there would be of what comes from entries.
    fn whole(self, count: u64) -> u64 {
        count.saturating_mul(self.of as u64) / self.entries.max(1) as u64
    }
}

impl KernelMemory {
    /// What the program takes once it is loaded.
    #[must_use]
    pub fn of(program: &Program) -> KernelMemory {
        KernelMemory::of_part(program, Part { entries: 1, of: 1 })
    }

    /// What the program of all entries would take. Sets of addresses are whole in each part.
    #[must_use]
    pub fn of_part(program: &Program, part: Part) -> KernelMemory {
        let rules: usize = program.chains.iter().map(|chain| chain.rules.len()).sum();
        let chains = program.chains.len() as u64 * CHAIN + rules as u64 * RULE;
        let sets = program.sets.iter().map(|set| of_set(set, &program.names, part));
        sets.fold(KernelMemory { shared: chains, per_processor: 0 }, |sum, set| KernelMemory {
            shared: sum.shared + set.shared,
            per_processor: sum.per_processor + set.per_processor,
        })
    }

    /// On a machine with so many processors.
    #[must_use]
    pub fn bytes(self, processors: u64) -> u64 {
        self.shared + self.per_processor * processors
    }
}

fn of_set(set: &Set, names: &[Name], part: Part) -> KernelMemory {
    let whole = |sum: u64| if let Elements::Keys(_) = set.elements { part.whole(sum) } else { sum };
    let count = whole(set.elements.len() as u64);
    let key = u64::from(key_type::length(set.key()));
    let structure = match (set.interval, set.key().len()) {
        (true, 0 | 1) => allocated(count * RANGE),
        (true, _) => fields(set, part),
        (false, _) => allocated(buckets(set, count) * 8 + SET),
    };
    let elements: u64 = match (&set.elements, set.interval) {
        (Elements::Keys(keys), interval) => {
            let fixed = EXTENSIONS + if interval { 2 * key } else { HASHED + key };
            let fixed = counted(fixed, set.counted) + USER_DATA + COMMENT.len() as u64;
            let name = |owner: &EntryId| names.get(owner.0 as usize).map_or(0, |name| name.len() as u64);
            whole(keys.owners().iter().map(|owner| object(fixed + name(owner))).sum())
        }
        // A start and an end, which is marked.
        (_, true) => count * 2 * object(TREE + EXTENSIONS + 4 + key),
        (_, false) => count * object(counted(HASHED + EXTENSIONS + key, set.counted)),
    };
    let counters = if set.counted { count } else { 0 };
    KernelMemory { shared: SET + structure + elements + counters * COUNTER_ACCOUNT, per_processor: counters * COUNTED }
}

fn counted(fixed: u64, counted: bool) -> u64 {
    if counted { fixed.next_multiple_of(8) + COUNTER } else { fixed }
}

/// An accounted object of so many bytes, in the next size that there is.
fn object(bytes: u64) -> u64 {
    ACCOUNT
        + match bytes {
            65..=96 => 96,
            129..=192 => 192,
            _ => bytes.next_power_of_two().max(8),
        }
}

/// Memory for a table: from the sizes of small objects, or whole pages.
fn allocated(bytes: u64) -> u64 {
    if bytes > SMALL { bytes.next_power_of_two() } else { object(bytes) }
}

/// `nft_hash_buckets` where the size is declared; else the table of `lib/rhashtable.c` grows when it is three quarters full.
fn buckets(set: &Set, count: u64) -> u64 {
    let size = usize::try_from(count).ok().and_then(|count| set.size_of(count));
    size.map_or(count, |size| size as u64).saturating_mul(4).div_ceil(3).next_power_of_two()
}

/// The tables of `nft_set_pipapo.c`: of each field one bit for each of its prefixes, for each value of each group of bits; and where each of the
/// prefixes leads.
fn fields(set: &Set, part: Part) -> u64 {
    let Elements::Keys(keys) = &set.elements else { return 0 };
    let of_field = |(place, field)| {
        let prefixes: u64 = keys.iter().filter_map(|element| element.values().nth(place)).map(prefixes).sum();
        let (prefixes, bytes) = (part.whole(prefixes), u64::from(width(field)));
        let table = |groups: u64, values: u64| groups * values * prefixes.div_ceil(64) * 8;
        let wide = table(bytes, 256);
        let table = if wide <= WIDE { wide } else { table(bytes * 2, 16) };
        allocated(table + HEADROOM) + allocated((prefixes + SPARE) * 8)
    };
    keys.fields().iter().copied().enumerate().map(of_field).sum()
}

/// Into how many prefixes the kernel takes a range apart.
fn prefixes(value: Value<'_>) -> u64 {
    match value {
        _ if value.is_single() => 1,
        Value::Addresses(range) => range.prefixes().len() as u64,
        Value::Ports(first, last) => AddrRange::V4(first.into(), last.into()).prefixes().len() as u64,
        Value::Interface(_) | Value::Protocol(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nft::key_type::Field;
    use crate::backend::nft::keys::{Key, Keys};
    use crate::net::Family;

    fn set(interval: bool, counted: bool, elements: Elements) -> Set {
        Set { name: "a".to_string(), interval, counted, elements, place: None }
    }

    /// What Linux 6.18 charged for each element to the control group of `nft -f`; see the bench for all kinds.
    #[test]
    fn elements_take_what_the_kernel_was_seen_to_take() {
        let keys = |count, ranges| {
            let mut keys = Keys::new(vec![Field::Address(Family::V4), Field::Protocol, Field::Port], ranges);
            for number in 0..count {
                let address = Value::Addresses(AddrRange::V4(number, number));
                let key = [address, Value::Protocol("udp".parse().unwrap()), Value::Ports(1000, 1000)];
                keys.push(&Key::of(&key), EntryId(0));
            }
            Elements::Keys(keys)
        };
        let names: [Name; 1] = ["s12345".parse().unwrap()];
        let hosts = |count: u32| Elements::V4((0..count).map(|number| (2 * number, 2 * number)).collect());
        let all = Part { entries: 1, of: 1 };
        let of = |set: &Set| of_set(set, &names, all).shared + 2 * of_set(set, &names, all).per_processor;
        let seen = [
            (set(false, true, keys(50_000, false)), 10_498_048),
            (set(false, false, keys(50_000, false)), 5_701_632),
            (set(false, false, hosts(50_000)), 5_701_632),
            (set(true, false, hosts(50_000)), 8_253_440),
            (set(true, true, keys(2_000, true)), 1_355_776),
        ];
        for (set, bytes) in seen {
            let estimate = of(&set);
            assert!(estimate.abs_diff(bytes) * 33 < bytes, "{estimate} and {bytes}: {:?} {}", set.key(), set.interval);
        }
    }

    /// A tenth of the elements of a set that comes from entries stands for all of them, a set of addresses for itself.
    #[test]
    fn a_part_stands_for_the_whole() {
        let elements = |count: u16| {
            let mut keys = Keys::new(vec![Field::Port], false);
            (1..=count).for_each(|port| keys.push(&Key::of(&[Value::Ports(port, port)]), EntryId(0)));
            set(false, true, Elements::Keys(keys))
        };
        let part = Part { entries: 1_000, of: 10_000 };
        assert_eq!(of_set(&elements(1_000), &[], part), of_set(&elements(10_000), &[], Part { entries: 1, of: 1 }));
        let hosts = set(false, false, Elements::V4(vec![(1, 1); 600]));
        assert_eq!(of_set(&hosts, &[], part), of_set(&hosts, &[], Part { entries: 1, of: 1 }));
    }

    #[test]
    fn a_range_counts_as_its_prefixes() {
        assert_eq!(prefixes(Value::Ports(1024, 2047)), 1);
        assert_eq!(prefixes(Value::Ports(1, 6)), 4);
        assert_eq!(prefixes(Value::Addresses(AddrRange::V4(0, 2))), 2);
    }
}
