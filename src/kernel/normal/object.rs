//! The normal form of an object: its attributes by their shapes, and its expressions.

use super::condition::{self, Step};
use super::form::{begin, end, list, nested, prefixed, quantity, some};
use super::shape::{self, Field, Shape, register};
use super::{NormalTable, Side};
use crate::kernel::nf_tables::{elements, expression, set, set_flag};
use crate::kernel::wire::{self, Fields, Malformed};

/// Stands where an expression has 0: bytes of the packet that are equal to given ones.
const EQUAL: u16 = 1;

impl NormalTable {
    /// The normal form of an object with these fields.
    pub(super) fn object(
        &self,
        what: &'static str,
        shapes: &[Field],
        bytes: &[u8],
        side: Side,
    ) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        self.fields(what, shapes, bytes, side, &mut out)?;
        Ok(out)
    }

    fn fields(
        &self,
        what: &'static str,
        shapes: &[Field],
        bytes: &[u8],
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let fields = Fields::of(bytes)?;
        for attribute in wire::attributes(bytes) {
            known(what, shapes, attribute?.kind, side)?;
        }
        for field in shapes {
            if let Some(value) = fields.get(field.0) {
                self.field(what, *field, value, &fields, side, out)?;
            }
        }
        Ok(())
    }

    /// Appends one attribute, unless it says nothing.
    pub(super) fn field(
        &self,
        what: &'static str,
        (kind, shape): Field,
        value: &[u8],
        siblings: &Fields<'_>,
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let number = || wire::number(value).ok_or(Malformed::Missing(kind));
        match shape {
            Shape::Ignored => {}
            Shape::Bytes => some(out, kind, value),
            Shape::Text => some(out, kind, wire::text(value).as_bytes()),
            Shape::TextOr(default) => {
                let text = wire::text(value);
                some(out, kind, if text == default { b"" } else { text.as_bytes() });
            }
            Shape::Comment(comment) => some(out, kind, wire::user_data(value, comment).unwrap_or(&[])),
            // The kernel's number.
            Shape::SetName if what == "set" && is_anonymous(siblings) => {}
            Shape::SetName => {
                // The id is attribute 4 of a lookup, 5 of an objref, and 10 of the set itself.
                let id_kind = if what == "set" {
                    set::ID
                } else if kind == 4 {
                    5
                } else {
                    4
                };
                let name = self.set_name(Some(value), siblings.number(id_kind), side)?;
                match self.sets.get(&name).filter(|set| set.anonymous) {
                    Some(set) => some(out, kind, &set.content().0.to_le_bytes()),
                    None => some(out, kind, name.as_bytes()),
                }
            }
            // A verdict map's data length is the kernel's own business.
            Shape::Number if what == "set" && kind == 7 && siblings.number(6) == Some(shape::VERDICT_TYPE) => {}
            Shape::Number => quantity(out, kind, number()?, 0),
            Shape::NumberOr(default) => quantity(out, kind, number()?, default),
            Shape::FlagsWithout(bits) => quantity(out, kind, number()? & !bits, 0),
            Shape::Register => prefixed(out, kind, &register(number()?).to_be_bytes()),
            Shape::RegisterLike(other) => {
                let other = siblings.number(other).map_or(u64::MAX, register);
                quantity(out, kind, register(number()?), other);
            }
            Shape::Nested(shapes) => nested(out, kind, |out| self.fields(what, shapes, value, side, out))?,
            Shape::List(shapes) => {
                nested(out, kind, |out| list(value, out, |item, out| self.fields(what, shapes, item, side, out)))?
            }
            Shape::Expressions => nested(out, kind, |out| self.expressions(value, side, out))?,
            Shape::ExpressionAs(kind) => nested(out, kind, |out| {
                let start = begin(out, 0);
                self.expression(value, side, out)?;
                end(out, start);
                Ok(())
            })?,
        }
        Ok(())
    }

    /// Expressions, in order.
    fn expressions(&self, bytes: &[u8], side: Side, out: &mut Vec<u8>) -> Result<(), Malformed> {
        for step in condition::steps(bytes)? {
            match step {
                Step::Expression(bytes) => {
                    let start = begin(out, 0);
                    self.expression(bytes, side, out)?;
                    end(out, start);
                }
                Step::Equal(bytes) => {
                    let start = begin(out, EQUAL);
                    for (header, offset, byte) in bytes {
                        out.extend(header.to_be_bytes());
                        out.extend(offset.to_be_bytes());
                        out.push(byte);
                    }
                    end(out, start);
                }
            }
        }
        Ok(())
    }

    /// An expression: its name, then its data.
    fn expression(&self, bytes: &[u8], side: Side, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let fields = Fields::of(bytes)?;
        let name = fields.text(expression::NAME)?;
        prefixed(out, expression::NAME, name.as_bytes());
        let data = fields.get(expression::DATA).unwrap_or(&[]);
        match (shape::expression(&name), side) {
            (Some(shapes), _) => nested(out, expression::DATA, |out| self.fields("rule", shapes, data, side, out)),
            (None, Side::Sent) => Err(Malformed::Expression(name)),
            (None, Side::Listed) => {
                some(out, expression::DATA, data);
                Ok(())
            }
        }
    }

    /// A set's real name.
    pub(super) fn set_name(&self, name: Option<&[u8]>, id: Option<u64>, side: Side) -> Result<String, Malformed> {
        let resolved = id.filter(|_| side == Side::Sent).and_then(|id| self.names.get(&id));
        match (resolved, name) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(name)) => Ok(wire::text(name)),
            (None, None) => Err(Malformed::Missing(elements::SET)),
        }
    }
}

/// Whether a set belongs to a rule.
pub(super) fn is_anonymous(set: &Fields<'_>) -> bool {
    set.number(set::FLAGS).unwrap_or(0) & set_flag::ANONYMOUS != 0
}

/// On our side, an attribute must be known, or it could not be compared.
pub(super) fn known(what: &'static str, shapes: &[Field], kind: u16, side: Side) -> Result<(), Malformed> {
    if side == Side::Sent && !shapes.iter().any(|field| field.0 == kind) {
        return Err(Malformed::Unknown(what, kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::nf_tables::{INET, message};
    use crate::kernel::normal::Digest;
    use crate::kernel::wire::Request;

    fn shapes(what: &str) -> &'static [Field] {
        match what {
            "table" => shape::TABLE,
            "chain" => shape::CHAIN,
            "set" => shape::SET,
            _ => shape::RULE,
        }
    }

    /// The normal form of one message about the table fwc.
    fn digest(what: &str, request: Request, side: Side) -> Result<Digest, Malformed> {
        let bytes = request.finish(0);
        let message = wire::messages(&bytes).next().unwrap()?;
        NormalTable::default().object("object", shapes(what), message.attributes(), side).map(|form| Digest::of(&form))
    }

    fn chain(kind: u16) -> Request {
        Request::netfilter(kind, 0, INET).with_text(1, "fwc").with_text(3, "input")
    }

    #[test]
    fn what_the_kernel_adds_does_not_count() {
        let hook = |request: Request| request.with_nested(4, |h| h.with_be32(1, 1).with_be32(2, 0));
        let sent = hook(chain(message::NEW_CHAIN));
        let listed = hook(chain(message::NEW_CHAIN).with(2, &[0, 0, 0, 0, 0, 0, 0, 9]).with_be32(6, 3));
        let listed = listed.with_be32(5, 1).with_text(7, "filter").with_be32(10, 1).with(31, b"newer");
        assert_eq!(digest("chain", sent.clone(), Side::Sent), digest("chain", listed, Side::Listed));
        for other in [sent.clone().with_be32(5, 0), sent.clone().with_text(7, "nat"), sent.clone().with(12, &[0, 1, 0])]
        {
            assert_ne!(digest("chain", sent.clone(), Side::Sent), digest("chain", other, Side::Sent));
        }
        assert_ne!(digest("chain", sent, Side::Sent), digest("chain", chain(message::NEW_CHAIN), Side::Sent));
    }

    #[test]
    fn what_is_not_understood_is_an_error_on_our_side_only() {
        let newer = chain(message::NEW_CHAIN).with(31, b"newer");
        assert_eq!(digest("chain", newer.clone(), Side::Sent), Err(Malformed::Unknown("object", 31)));
        assert_eq!(digest("chain", newer, Side::Listed), digest("chain", chain(message::NEW_CHAIN), Side::Sent));
        let odd = Request::netfilter(message::NEW_RULE, 0, INET)
            .with_nested(4, |list| list.with_nested(1, |one| one.with_text(1, "quantum")));
        assert_eq!(digest("rule", odd.clone(), Side::Sent), Err(Malformed::Expression("quantum".into())));
        assert!(digest("rule", odd, Side::Listed).is_ok());
    }

    /// A rule with one expression.
    fn rule_with(name: &str, data: impl FnOnce(Request) -> Request) -> Request {
        Request::netfilter(message::NEW_RULE, 0, INET)
            .with_nested(4, |list| list.with_nested(1, |one| one.with_text(1, name).with_nested(2, data)))
    }

    #[test]
    fn expressions_mean_the_same_with_defaults_written_out_or_not() {
        let same = |sent: Request, listed: Request| {
            assert_eq!(digest("rule", sent, Side::Sent), digest("rule", listed, Side::Listed));
        };
        same(
            rule_with("lookup", |d| d.with_text(1, "s").with_be32(2, 8).with_be32(4, 7)),
            rule_with("lookup", |d| d.with_text(1, "s").with_be32(2, 1).with_be32(5, 0)),
        );
        same(
            rule_with("nat", |d| d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 1).with_be32(5, 9)),
            rule_with("nat", |d| {
                let d = d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 1).with_be32(4, 1);
                d.with_be32(5, 9).with_be32(6, 9).with_be32(7, 3)
            }),
        );
        same(
            rule_with("counter", |d| d),
            rule_with("counter", |d| d.with(1, &[0, 0, 0, 0, 0, 0, 1, 2]).with(2, &[0, 0, 0, 0, 0, 0, 0, 3])),
        );
        let verdict = |code: i32| {
            rule_with("immediate", |d| {
                d.with_be32(1, 0).with_nested(2, |d| d.with_nested(2, |v| v.with(1, &code.to_be_bytes())))
            })
        };
        assert_ne!(digest("rule", verdict(0), Side::Sent), digest("rule", verdict(1), Side::Sent));
        assert_ne!(
            digest("rule", rule_with("cmp", |d| d.with_be32(1, 1).with_be32(2, 0)), Side::Sent),
            digest("rule", rule_with("cmp", |d| d.with_be32(1, 1).with_be32(2, 1)), Side::Sent),
        );
    }
}
