//! What the rules and set elements of the table `inet fwc` have counted.

use std::sync::Arc;

use nix::errno::Errno;

use super::KernelError;
use super::nf_tables::{self, COMMENT, INET, counter, element, elements, expression, message, rule, set};
use super::socket::Socket;
use super::table::{elements_request, list, sets_request};
use super::wire::{self, Attribute, Fields, Malformed, Request};

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What it belongs to.
    pub owner: CounterOwner,
    /// The comment of the element or rule, as in `fwc: web`.
    pub comment: Option<String>,
    /// Packets.
    pub packets: u64,
    /// Bytes, from the network header on.
    pub bytes: u64,
}

/// What a counter belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CounterOwner {
    /// An element of this set.
    Element {
        /// The set's name.
        set: Arc<str>,
    },
    /// A rule.
    Rule {
        /// The chain's name.
        chain: Arc<str>,
        /// Its number in the chain, from 1.
        number: usize,
    },
}

/// All counters of the table, rules first; none if the table is not there.
///
/// Sets whose elements do not count are not read.
///
/// # Errors
/// The table cannot be read.
pub fn counters(socket: &mut Socket) -> Result<Vec<Counter>, KernelError> {
    let mut found = rule_counters(socket)?;
    let names = list(socket, &sets_request(), |names: &mut Vec<String>, message| {
        let fields = Fields::of(message.attributes())?;
        if fields.get(set::EXPRESSION).or(fields.get(set::EXPRESSIONS)).is_some() {
            names.push(fields.text(set::NAME)?);
        }
        Ok(())
    });
    let counting = match names {
        Ok(names) => names,
        // There is no table.
        Err(KernelError::Refused { errno: Errno::ENOENT, .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for name in counting {
        found.append(&mut element_counters(socket, &name)?);
    }
    Ok(found)
}

fn rule_counters(socket: &mut Socket) -> Result<Vec<Counter>, KernelError> {
    let request = Request::netfilter(message::GET_RULE, 0, INET).with_text(rule::TABLE, nf_tables::TABLE);
    let mut at: (Arc<str>, usize) = (Arc::from(""), 0);
    list(socket, &request, |found: &mut Vec<Counter>, message| {
        let fields = Fields::of(message.attributes())?;
        let chain = fields.text(rule::CHAIN)?;
        at = if *at.0 == *chain { (at.0.clone(), at.1 + 1) } else { (Arc::from(chain), 1) };
        let counted = fields.get(rule::EXPRESSIONS).map_or(Ok(None), counter_in)?;
        let owner = CounterOwner::Rule { chain: at.0.clone(), number: at.1 };
        found.extend(counted.map(|counted| counted.of(owner, fields.get(rule::USER_DATA))));
        Ok(())
    })
}

fn element_counters(socket: &mut Socket, name: &str) -> Result<Vec<Counter>, KernelError> {
    let request = elements_request(name);
    let set: Arc<str> = Arc::from(name);
    list(socket, &request, |found: &mut Vec<Counter>, message| {
        let list = Fields::of(message.attributes())?.get(elements::ELEMENTS);
        for attribute in wire::attributes(list.unwrap_or(&[])) {
            let fields = Fields::of(attribute?.value)?;
            let one = fields.get(element::EXPRESSION).map_or(Ok(None), counter)?;
            let counted = match one {
                Some(counted) => Some(counted),
                None => fields.get(element::EXPRESSIONS).map_or(Ok(None), counter_in)?,
            };
            let owner = CounterOwner::Element { set: set.clone() };
            found.extend(counted.map(|counted| counted.of(owner, fields.get(element::USER_DATA))));
        }
        Ok(())
    })
}

/// Packets and bytes.
struct Counted {
    packets: u64,
    bytes: u64,
}

impl Counted {
    fn of(self, owner: CounterOwner, user_data: Option<&[u8]>) -> Counter {
        let comment = user_data.and_then(|data| wire::user_data(data, COMMENT)).map(wire::text);
        Counter { owner, comment, packets: self.packets, bytes: self.bytes }
    }
}

/// The first counter in a list of expressions.
fn counter_in(expressions: &[u8]) -> Result<Option<Counted>, Malformed> {
    for attribute in wire::attributes(expressions) {
        let Attribute { value, .. } = attribute?;
        if let Some(counted) = counter(value)? {
            return Ok(Some(counted));
        }
    }
    Ok(None)
}

/// What an expression counted, if it is a counter.
fn counter(bytes: &[u8]) -> Result<Option<Counted>, Malformed> {
    let fields = Fields::of(bytes)?;
    if fields.text(expression::NAME)? != "counter" {
        return Ok(None);
    }
    let data = Fields::of(fields.get(expression::DATA).unwrap_or(&[]))?;
    let number = |kind| data.number(kind).ok_or(Malformed::Missing(kind));
    Ok(Some(Counted { packets: number(counter::PACKETS)?, bytes: number(counter::BYTES)? }))
}
