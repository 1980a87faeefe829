//! Conditions that several sequences of expressions can say.
//!
//! nft joins comparisons of neighbouring header fields to one (`stmt_reduce` of its `rule.c`), and which ones it joins is up to its version.

use super::shape::register;
use crate::kernel::nf_tables::{data, expression};
use crate::kernel::wire::{self, Fields, Malformed};

/// An expression before it is brought into its normal form.
struct Raw<'a> {
    /// All of it.
    bytes: &'a [u8],
    name: String,
    data: Fields<'a>,
}

/// Header (`NFT_PAYLOAD_*`), offset in bytes, and value.
type Byte = (u64, u64, u8);

/// Expressions in order, comparisons of neighbouring fields taken together.
pub(super) enum Step<'a> {
    /// One expression.
    Expression(&'a [u8]),
    /// These bytes of the packet have these values. Sorted.
    Equal(Vec<Byte>),
}

/// The expressions of a list.
fn raw(list: &[u8]) -> Result<Vec<Raw<'_>>, Malformed> {
    wire::attributes(list)
        .map(|attribute| {
            let bytes = attribute?.value;
            let fields = Fields::of(bytes)?;
            let data = Fields::of(fields.get(expression::DATA).unwrap_or(&[]))?;
            Ok(Raw { bytes, name: fields.text(expression::NAME)?, data })
        })
        .collect()
}

/// Takes a list of expressions apart.
pub(super) fn steps(list: &[u8]) -> Result<Vec<Step<'_>>, Malformed> {
    let all: Vec<Raw<'_>> = raw(list)?.into_iter().filter(|expression| !changes_nothing(expression)).collect();
    let mut steps = Vec::with_capacity(all.len());
    let mut rest = all.as_slice();
    while let [first, others @ ..] = rest {
        match equalities(rest) {
            Some((bytes, behind)) => {
                steps.push(Step::Equal(bytes));
                rest = behind;
            }
            None => {
                steps.push(Step::Expression(first.bytes));
                rest = others;
            }
        }
    }
    Ok(steps)
}

/// nft turns a protocol's one byte around in units of two before it looks it up among ranges. The kernel turns as many units around as
/// fit (`nft_byteorder_eval`): none.
fn changes_nothing(expression: &Raw<'_>) -> bool {
    let number = |kind| expression.data.number(kind);
    expression.name == "byteorder"
        && number(1).map(register) == number(2).map(register)
        && number(4).zip(number(5)).is_some_and(|(length, unit)| length < unit)
}

/// The comparisons at the start of a list, as bytes, and what comes behind them.
fn equalities<'l, 'a>(list: &'l [Raw<'a>]) -> Option<(Vec<Byte>, &'l [Raw<'a>])> {
    let mut bytes = Vec::new();
    let mut rest = list;
    let mut used = None;
    while let [load, compare, behind @ ..] = rest
        && let Some((from, header, offset, wanted)) = equality(load, compare)
        && used.is_none_or(|used| used == from)
    {
        bytes.extend((offset..).zip(wanted).map(|(offset, byte)| (header, offset, *byte)));
        used = Some(from);
        rest = behind;
    }
    bytes.sort_unstable();
    bytes.dedup();
    let used = used?;
    forgotten(rest, used).then_some((bytes, rest))
}

/// `payload load ... => reg`, `cmp eq reg ...`: the register, the header, the offset, the bytes.
fn equality<'a>(load: &Raw<'a>, compare: &Raw<'a>) -> Option<(u64, u64, u64, &'a [u8])> {
    let to = register(load.data.number(1)?);
    let wanted = Fields::of(compare.data.get(3)?).ok()?.get(data::VALUE)?;
    let is_one = (load.name.as_str(), compare.name.as_str()) == ("payload", "cmp")
        // With a source register it writes to the packet.
        && load.data.get(5).is_none()
        && compare.data.number(1).map(register) == Some(to)
        && compare.data.number(2).unwrap_or(0) == 0
        && load.data.number(4) == u64::try_from(wanted.len()).ok();
    is_one.then_some((to, load.data.number(2)?, load.data.number(3).unwrap_or(0), wanted))
}

/// Whether nothing reads what the comparisons left in the register.
fn forgotten(rest: &[Raw<'_>], used: u64) -> bool {
    let mut next = rest.iter().filter(|expression| !matches!(expression.name.as_str(), "counter" | "notrack"));
    next.next().is_none_or(|next| match next.name.as_str() {
        // 0 is the verdict, which ends the rule.
        "immediate" => next.data.number(1).is_some_and(|to| to == 0 || register(to) == used),
        "payload" | "meta" | "ct" | "fib" | "exthdr" => next.data.number(1).map(register) == Some(used),
        "masq" => next.data.number(2).is_none(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Request, messages};

    type Part = fn(Request) -> Request;

    fn one(list: Request, name: &str, data: impl FnOnce(Request) -> Request) -> Request {
        list.with_nested(1, |one| one.with_text(1, name).with_nested(2, data))
    }

    fn load(list: Request, offset: u32, length: u32) -> Request {
        one(list, "payload", |d| d.with_be32(1, 1).with_be32(2, 2).with_be32(3, offset).with_be32(4, length))
    }

    fn compare(list: Request, operator: u32, bytes: &[u8]) -> Request {
        one(list, "cmp", |d| d.with_be32(1, 1).with_be32(2, operator).with_nested(3, |v| v.with(1, bytes)))
    }

    /// The bytes whose comparisons were taken together, and how many other expressions are left.
    fn read(fill: Part) -> (Vec<Byte>, usize) {
        let bytes = fill(Request::netfilter(0, 0, 0)).finish(0);
        let list = messages(&bytes).next().unwrap().unwrap().attributes().to_vec();
        let mut equal = Vec::new();
        let mut others = 0;
        for step in steps(&list).unwrap() {
            match step {
                Step::Equal(bytes) => equal.extend(bytes),
                Step::Expression(_) => others += 1,
            }
        }
        (equal, others)
    }

    fn accept(list: Request) -> Request {
        one(list, "immediate", |d| d.with_be32(1, 0))
    }

    #[test]
    fn joined_or_not_the_comparison_is_the_same() {
        let joined = read(|l| accept(compare(load(l, 0, 4), 0, &[0, 67, 0, 68])));
        let apart = read(|l| accept(compare(load(compare(load(l, 0, 2), 0, &[0, 67]), 2, 2), 0, &[0, 68])));
        let turned = read(|l| accept(compare(load(compare(load(l, 2, 2), 0, &[0, 68]), 0, 2), 0, &[0, 67])));
        assert_eq!(joined, (vec![(2, 0, 0), (2, 1, 67), (2, 2, 0), (2, 3, 68)], 1));
        assert_eq!((&joined, &joined), (&apart, &turned));
        assert_ne!(joined, read(|l| accept(compare(load(l, 0, 4), 0, &[0, 67, 0, 69]))));
    }

    #[test]
    fn only_equality_of_whole_loads_is_taken_together() {
        assert_eq!(read(|l| compare(load(l, 0, 2), 1, &[0, 67])), (vec![], 2));
        assert_eq!(read(|l| compare(load(l, 0, 2), 0, &[0, 67, 0, 0])), (vec![], 2));
    }

    #[test]
    fn a_register_that_is_read_again_keeps_its_comparison() {
        let read_again: Part = |l| one(compare(load(l, 0, 2), 0, &[0, 67]), "lookup", |d| d.with_be32(2, 1));
        assert_eq!(read(read_again), (vec![], 3));
        let elsewhere: Part = |l| one(compare(load(l, 0, 2), 0, &[0, 67]), "meta", |d| d.with_be32(1, 9));
        assert_eq!(read(elsewhere), (vec![], 3));
        let loaded: Part = |l| one(compare(load(l, 0, 2), 0, &[0, 67]), "meta", |d| d.with_be32(1, 8));
        assert_eq!(read(loaded), (vec![(2, 0, 0), (2, 1, 67)], 1));
    }

    #[test]
    fn a_byte_swap_without_a_whole_unit_is_none() {
        let swap = |length, unit| {
            move |l| {
                one(l, "byteorder", |d| {
                    d.with_be32(1, 9).with_be32(2, 9).with_be32(3, 1).with_be32(4, length).with_be32(5, unit)
                })
            }
        };
        let count = |fill: Box<dyn FnOnce(Request) -> Request>| {
            let bytes = fill(Request::netfilter(0, 0, 0)).finish(0);
            steps(messages(&bytes).next().unwrap().unwrap().attributes()).unwrap().len()
        };
        assert_eq!(count(Box::new(swap(1, 2))), 0);
        assert_eq!(count(Box::new(swap(2, 2))), 1);
        assert_eq!(count(Box::new(swap(4, 2))), 1);
    }
}
