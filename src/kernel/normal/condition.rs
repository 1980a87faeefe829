//! Conditions that several sequences of expressions can say.
//!
//! nft joins comparisons of neighbouring header fields to one (`stmt_reduce` of its `rule.c`), and which ones it joins is up to its version.

use super::register;
use crate::kernel::nf_tables::{data, expression};
use crate::kernel::wire::{self, Fields, Malformed};

/// An expression before it is brought into its normal form.
pub(super) struct Raw<'a> {
    /// All of it.
    pub(super) bytes: &'a [u8],
    name: String,
    data: Fields<'a>,
}

/// Expressions in order, comparisons of neighbouring fields taken together.
pub(super) enum Step<'a> {
    /// One expression.
    Expression(&'a [u8]),
    /// These bytes of the packet are equal to these: header, offset and value, sorted.
    Equal(Vec<(u64, u64, u8)>),
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
#[allow(clippy::type_complexity)]
fn equalities<'l, 'a>(list: &'l [Raw<'a>]) -> Option<(Vec<(u64, u64, u8)>, &'l [Raw<'a>])> {
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
