//! The expressions of one rule, followed from register to register.

use std::sync::Arc;

use super::Tables;
use super::action::{self, Action};
use super::question::{Known, opaque};
use super::register::{Loaded, Registers, What, hex};
use crate::dump::builder::RuleBuilder;
use crate::dump::listing::DraftWay;
use crate::dump::{Condition, InterfacePattern, Test, Verdict, Way};
use crate::kernel::nf_tables::{data, expression};
use crate::kernel::wire::{self, Fields, Malformed, big_endian};
use crate::net::{Family, RangeSet};

/// A rule as far as it has been read.
pub(super) struct Program<'t, 'a> {
    pub(super) tables: &'t Tables<'a>,
    pub(super) table: usize,
    pub(super) registers: Registers,
    pub(super) known: Known,
    pub(super) rule: RuleBuilder,
}

impl<'t, 'a> Program<'t, 'a> {
    /// Reads a rule of a table.
    pub(super) fn read(
        tables: &'t Tables<'a>,
        table: usize,
        family: Option<Family>,
        bytes: &[u8],
    ) -> Result<Vec<DraftWay>, Malformed> {
        let mut program = Program {
            tables,
            table,
            registers: Registers::default(),
            known: Known { family, protocol: None },
            rule: RuleBuilder::default(),
        };
        for one in wire::attributes(bytes) {
            let fields = Fields::of(one?.value)?;
            let bytes = fields.get(expression::DATA).unwrap_or(&[]);
            program.take(&fields.text(expression::NAME)?, &Fields::of(bytes)?, bytes);
        }
        Ok(if tables.names_sets { program.rule.into_written() } else { program.rule.finish() })
    }

    fn take(&mut self, name: &str, fields: &Fields<'_>, bytes: &[u8]) {
        match name {
            "payload" if fields.get(1).is_some() => self.payload(fields),
            "meta" if fields.get(1).is_some() => self.meta(fields),
            "ct" if fields.get(1).is_some() => self.conntrack(fields),
            "fib" => self.fib(fields, bytes),
            "exthdr" if fields.get(1).is_some() => self.extension(fields, bytes),
            "bitwise" => self.bitwise(fields, bytes),
            "byteorder" => self.load_other(fields.number(2), "byteorder", bytes),
            "immediate" => self.immediate(fields),
            "cmp" => self.compare(fields),
            "range" => self.range(fields),
            "lookup" => self.lookup(fields),
            _ => self.act(name, fields, bytes),
        }
    }

    fn act(&mut self, name: &str, fields: &Fields<'_>, bytes: &[u8]) {
        if name == "nat" {
            // To packets of the other family the kernel does nothing here, and goes on to the next rule.
            match fields.number(2) {
                Some(2) => self.need_family(Family::V4),
                Some(10) => self.need_family(Family::V6),
                _ => {}
            }
        }
        match action::of(name, fields, bytes, &self.registers, self.known.family) {
            Action::Loads { volatile } => {
                let text = format!("{name} {}", hex(bytes));
                self.registers.spoil(&text, volatile);
            }
            other => self.rule.act(other),
        }
    }

    fn need_family(&mut self, family: Family) {
        if self.known.family != Some(family) {
            self.rule.add(Condition::is(Test::Family(family)));
            self.known.family = Some(family);
        }
    }

    fn load(&mut self, register: Option<u64>, what: What, length: usize) {
        self.registers.put(register, Loaded::new(what, length));
    }

    fn load_other(&mut self, register: Option<u64>, name: &str, bytes: &[u8]) {
        // What it was made of counts, too: the same words must ask the same.
        let from = Fields::of(bytes).ok().and_then(|fields| self.registers.get(fields.number(1)).map(Loaded::words));
        let (from, volatile) = from.unwrap_or_default();
        let text = format!("{name} {} of {from}", hex(bytes));
        self.load(register, What::Other { text, volatile }, 16);
    }

    fn payload(&mut self, fields: &Fields<'_>) {
        let number = |kind| fields.number(kind).and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        let (offset, length) = (number(3), number(4).min(256));
        let what = match fields.number(2) {
            Some(1) => What::Network { offset },
            Some(2) => What::Transport { offset },
            base => What::Other { text: format!("payload {base:?} @{offset}"), volatile: false },
        };
        self.load(fields.number(1), what, length);
    }

    fn meta(&mut self, fields: &Fields<'_>) {
        let key = fields.number(2).unwrap_or(u64::MAX);
        let length = match key {
            6 | 7 => 16,
            15 | 16 | 19 => 1,
            1 | 8 | 9 => 2,
            _ => 4,
        };
        self.load(fields.number(1), What::Meta(key), length);
    }

    fn conntrack(&mut self, fields: &Fields<'_>) {
        let key = fields.number(2).unwrap_or(u64::MAX);
        let original = fields.number(3) == Some(0);
        let length = match key {
            8 | 9 if self.known.family == Some(Family::V4) => 4,
            6 | 8 | 9 | 13 | 21 | 22 => 16,
            11 | 12 | 17 => 2,
            1 | 7 | 10 => 1,
            14..=16 => 8,
            _ => 4,
        };
        self.load(fields.number(1), What::Conntrack { key, original }, length);
    }

    fn fib(&mut self, fields: &Fields<'_>, bytes: &[u8]) {
        let what = match (fields.number(2), fields.number(3)) {
            (Some(3), Some(flags)) => What::AddressType(flags),
            _ => What::Other { text: format!("fib {}", hex(bytes)), volatile: false },
        };
        self.load(fields.number(1), what, 4);
    }

    fn extension(&mut self, fields: &Fields<'_>, bytes: &[u8]) {
        let length = fields.number(4).and_then(|length| usize::try_from(length).ok()).unwrap_or(0).min(256);
        let what = match (fields.number(6).unwrap_or(0), fields.number(2), fields.number(3)) {
            (0, Some(kind), Some(offset)) => {
                What::Extension { kind, offset, present: fields.number(5).unwrap_or(0) & 1 != 0 }
            }
            _ => What::Other { text: format!("exthdr {}", hex(bytes)), volatile: false },
        };
        self.load(fields.number(1), what, length);
    }

    fn bitwise(&mut self, fields: &Fields<'_>, bytes: &[u8]) {
        let plain = fields.number(6).unwrap_or(0) == 0 && value(fields, 5).unwrap_or(&[]).iter().all(|&byte| byte == 0);
        let masked = match (self.registers.get(fields.number(1)), value(fields, 4)) {
            (Some(old), Some(new)) if plain && new.len() == old.length && !matches!(old.what, What::Other { .. }) => {
                let mask = match &old.mask {
                    Some(before) => before.iter().zip(new).map(|(a, b)| a & b).collect(),
                    None => new.to_vec(),
                };
                Some(Loaded { mask: Some(mask), ..old.clone() })
            }
            _ => None,
        };
        match masked {
            Some(masked) => self.registers.put(fields.number(2), masked),
            None => self.load_other(fields.number(2), "bitwise", bytes),
        }
    }

    fn immediate(&mut self, fields: &Fields<'_>) {
        if let Some(bytes) = value(fields, 2) {
            self.load(fields.number(1), What::Constant(bytes.to_vec()), bytes.len());
        } else {
            let verdict = self.verdict(fields.get(2));
            self.rule.end(verdict);
        }
    }

    /// The verdict in data.
    pub(super) fn verdict(&self, bytes: Option<&[u8]>) -> Verdict {
        let inside = || Fields::of(Fields::of(bytes?).ok()?.get(2)?).ok();
        let Some(fields) = inside() else { return Verdict::Unknown("verdict of no known form".to_string()) };
        let code = fields.get(1).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
        let chain = || self.tables.chain(self.table, &fields.text(2).unwrap_or_default());
        match code {
            Some(0) => Verdict::Drop,
            Some(1) => Verdict::Accept,
            // Continue and break: the next rule.
            Some(-1 | -2) => Verdict::Continue,
            Some(-3) => chain().map_or_else(|| Verdict::Unknown("jump to nowhere".to_string()), Verdict::Jump),
            Some(-4) => chain().map_or_else(|| Verdict::Unknown("goto nowhere".to_string()), Verdict::Goto),
            Some(-5) => Verdict::Return,
            Some(code) if code & 0xff == 3 => Verdict::Unknown("queue".to_string()),
            other => Verdict::Unknown(format!("verdict {other:?}")),
        }
    }

    fn compare(&mut self, fields: &Fields<'_>) {
        let (Some(wanted), operator) = (value(fields, 3), fields.number(2).unwrap_or(0)) else {
            return self.rule.add(unread("cmp"));
        };
        let Some(loaded) = self.loaded(fields.number(1), wanted.len()) else { return self.rule.add(unread("cmp")) };
        match operator {
            0 | 1 => {
                if let Some(test) = self.interface(&loaded, wanted) {
                    return self.rule.add(Condition { negated: operator == 1, test });
                }
                for one in self.known.equal(&loaded, wanted, operator == 1) {
                    self.rule.add(one);
                }
            }
            _ => {
                let condition = self.ordered(&loaded, wanted, operator);
                self.rule.add(condition);
            }
        }
    }

    /// An interface that is asked for by its index, where the host's names are known.
    fn interface(&self, loaded: &Loaded, wanted: &[u8]) -> Option<Test> {
        let way = match loaded.what {
            What::Meta(4) => Way::In,
            What::Meta(5) => Way::Out,
            _ => return None,
        };
        let index = wanted.try_into().ok().filter(|_| loaded.mask.is_none()).map(u32::from_ne_bytes)?;
        let name = (self.tables.interface?)(index)?;
        Some(Test::Interface(way, vec![InterfacePattern { name, prefix: false }]))
    }

    /// The one value of this length from a register on; several are put together in words only.
    fn loaded(&self, register: Option<u64>, bytes: usize) -> Option<Loaded> {
        let all = self
            .registers
            .several(register, bytes)
            .or_else(|| self.registers.get(register).cloned().map(|one| vec![one]))?;
        let [one] = all.as_slice() else {
            let words: Vec<(String, bool)> = all.iter().map(Loaded::words).collect();
            let text = words.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" . ");
            let volatile = words.iter().any(|(_, volatile)| *volatile);
            return Some(Loaded::new(What::Other { text, volatile }, bytes));
        };
        Some(one.clone())
    }

    fn ordered(&self, loaded: &Loaded, wanted: &[u8], operator: u64) -> Condition {
        let range = |field: super::field::Field| {
            let number = big_endian(wanted).filter(|_| wanted.len() == field.width())?;
            let numbers = match operator {
                2 => number.checked_sub(1).map(|last| RangeSet::range(0, last)),
                3 => Some(RangeSet::range(0, number)),
                4 => number
                    .checked_add(1)
                    .filter(|first| *first <= field.largest())
                    .map(|first| RangeSet::range(first, field.largest())),
                5 => Some(RangeSet::range(number, field.largest())),
                _ => return None,
            };
            field.among(&numbers.unwrap_or_default())
        };
        match self.known.field(loaded).and_then(range) {
            Some(test) => Condition::is(test),
            None => opaque(loaded, &format!("cmp{operator}"), wanted, false),
        }
    }

    fn range(&mut self, fields: &Fields<'_>) {
        let (Some(from), Some(to)) = (value(fields, 3), value(fields, 4)) else {
            return self.rule.add(unread("range"));
        };
        let Some(loaded) = self.loaded(fields.number(1), from.len()) else { return self.rule.add(unread("range")) };
        let negated = fields.number(2).unwrap_or(0) == 1;
        let test = self
            .known
            .field(&loaded)
            .filter(|field| field.width() == from.len())
            .and_then(|field| field.among(&RangeSet::range(big_endian(from)?, big_endian(to)?)));
        self.rule.add(match test {
            Some(test) => Condition { negated, test },
            None => opaque(&loaded, &format!("range {}-", hex(from)), to, negated),
        });
    }
}

/// The bytes in a data attribute.
pub(super) fn value<'a>(fields: &Fields<'a>, kind: u16) -> Option<&'a [u8]> {
    Fields::of(fields.get(kind)?).ok()?.get(data::VALUE)
}

/// An expression that asks something of which nothing is known.
pub(super) fn unread(name: &str) -> Condition {
    Condition::is(Test::Opaque { text: Arc::from(format!("{name} of something unknown")), volatile: true })
}
