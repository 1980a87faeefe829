//! Lookups in sets, maps and verdict maps.

use std::sync::Arc;

use super::field::{Field, addresses, keyed, push};
use super::program::{Program, unread};
use super::question::states;
use super::register::{Loaded, What};
use super::set::{Group, Set, Target};
use crate::dump::words::selector_word;
use crate::dump::{Condition, Selector, States, Test};
use crate::kernel::nf_tables::{data, element};
use crate::kernel::wire::Fields;
use crate::net::RangeSet;

/// What has been read of a set as keys of these fields: sets are decoded once.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) set: usize,
    pub(super) shape: Shape,
    pub(super) test: Test,
}

/// For what fields a set was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Field(Field),
    Selectors(Vec<Selector>),
}

impl<'a> Program<'_, 'a> {
    pub(super) fn lookup(&mut self, fields: &Fields<'_>) {
        let Some((number, set)) = self.tables.set(self.table, fields) else {
            return self.rule.add(unread("lookup"));
        };
        let Some(loaded) = self.registers.several(fields.number(2), set.key_length) else {
            self.registers.spoil(&format!("@{}", set.name), true);
            return self.rule.add(unread(&format!("lookup in @{}", set.name)));
        };
        let negated = fields.number(5).unwrap_or(0) & 1 != 0;
        match fields.number(3) {
            // A register is given: a map. Register 0 is the verdict.
            Some(0) => self.verdict_map(&loaded, set),
            Some(_) => {
                let test = self.whole(&loaded, number, set);
                self.rule.add(Condition::is(test));
                self.registers.spoil(&format!("map @{}", set.name), set.is_volatile());
            }
            None => {
                let test = self.whole(&loaded, number, set);
                if !negated {
                    self.known.learn(&test);
                }
                self.rule.add(Condition { negated, test });
            }
        }
    }

    /// The key is in the set.
    fn whole(&self, loaded: &[Loaded], number: usize, set: &Set<'a>) -> Test {
        if self.tables.names_sets && set.is_named() {
            return self.by_name(loaded, set);
        }
        if set.is_volatile() || set.has_catch_all() {
            return named(loaded, set);
        }
        let Some(shape) = self.shape(loaded) else {
            return self.among(loaded, set, &set.all()).unwrap_or_else(|| named(loaded, set));
        };
        let mut cache = self.tables.cache.borrow_mut();
        if let Some(read) = cache.iter().find(|read| read.set == number && read.shape == shape) {
            return read.test.clone();
        }
        let test = self.among(loaded, set, &set.all()).unwrap_or_else(|| named(loaded, set));
        cache.push(Read { set: number, shape, test: test.clone() });
        test
    }

    /// For a person, who knows the set by its name.
    fn by_name(&self, loaded: &[Loaded], set: &Set<'a>) -> Test {
        let selectors = self.fields(loaded).and_then(|fields| fields.iter().map(|field| field.selector()).collect());
        let Some(selectors): Option<Vec<Selector>> = selectors else { return named(loaded, set) };
        let key = selectors.into_iter().map(selector_word).collect::<Vec<_>>().join(" . ");
        Test::Opaque { text: format!("{key} @{}", set.name).into(), volatile: false }
    }

    fn shape(&self, loaded: &[Loaded]) -> Option<Shape> {
        let fields = self.fields(loaded)?;
        if let [only] = fields.as_slice() {
            return Some(Shape::Field(*only));
        }
        fields.iter().map(|field| field.selector()).collect::<Option<_>>().map(Shape::Selectors)
    }

    fn fields(&self, loaded: &[Loaded]) -> Option<Vec<Field>> {
        loaded.iter().map(|one| self.known.field(one)).collect()
    }

    /// The key is one of these elements.
    fn among(&self, loaded: &[Loaded], set: &Set<'a>, elements: &[&Fields<'a>]) -> Option<Test> {
        if let [one] = loaded
            && let What::Conntrack { key: 0, .. } = one.what
        {
            return state_set(elements);
        }
        if let [Loaded { what: What::Meta(15 | 1), .. }] = loaded {
            return self.any_equal(&loaded.first()?.clone(), elements);
        }
        let fields = self.fields(loaded)?;
        if elements.is_empty() {
            return Some(Test::Never);
        }
        match fields.as_slice() {
            [Field::Interface(way)] => Some(Test::Interface(*way, set.interfaces(elements)?)),
            [Field::Address(family, side)] => {
                Some(Test::Address(*side, Arc::new(addresses(*family, &set.numbers(elements)?))))
            }
            [only] => only.among(&set.numbers(elements)?),
            _ => {
                let selectors = fields.iter().map(|field| field.selector()).collect::<Option<Vec<_>>>()?;
                keyed(selectors, set.keys(elements, &fields)?)
            }
        }
    }

    /// A few values that are compared one by one.
    fn any_equal(&self, loaded: &Loaded, elements: &[&Fields<'a>]) -> Option<Test> {
        let mut all = Vec::new();
        for one in elements {
            all.extend({ self.known }.equal(loaded, value_of(one)?, false));
        }
        if all.is_empty() { Some(Test::Never) } else { Some(Test::AnyOf(all)) }
    }

    /// Each target of a verdict map is a way of its own.
    fn verdict_map(&mut self, loaded: &[Loaded], set: &Set<'a>) {
        let found = if set.is_volatile() { None } else { self.map_ways(loaded, set) };
        let Some(ways) = found else {
            let text = format!("vmap @{}", set.name);
            self.rule.add(Condition::is(named(loaded, set)));
            return self.rule.end(crate::dump::Verdict::Unknown(text));
        };
        for (conditions, verdict) in ways {
            self.rule.way(conditions, verdict);
        }
        self.rule.ended_by_map();
    }

    fn map_ways(&self, loaded: &[Loaded], set: &Set<'a>) -> Option<Vec<(Vec<Condition>, crate::dump::Verdict)>> {
        let mut ways = Vec::new();
        if let Some(groups) = set.groups() {
            for Group { target, elements } in groups {
                let test = self.among(loaded, set, &elements)?;
                ways.push((vec![Condition::is(test)], self.verdict(target.0)));
            }
        } else {
            let [one] = loaded else { return None };
            let field = self.known.field(one)?;
            let mut groups: Vec<(Target<'a>, Vec<(u128, u128)>)> = Vec::new();
            for (range, target) in set.intervals()? {
                match groups.iter_mut().find(|(known, _)| *known == target) {
                    Some((_, ranges)) => ranges.push(range),
                    None => groups.push((target, vec![range])),
                }
            }
            for (target, ranges) in groups {
                ways.push((vec![Condition::is(intervals(field, ranges)?)], self.verdict(target.0)));
            }
        }
        if let Some(rest) = set.catch_all() {
            let mut conditions = Vec::new();
            for (others, _) in &ways {
                others
                    .iter()
                    .for_each(|one| push(&mut conditions, Condition { negated: true, test: one.test.clone() }));
            }
            ways.push((conditions, self.verdict(rest.0)));
        }
        // Keys are apart from each other, so the order means nothing: let it be the same for all readers.
        ways.sort_by_cached_key(|(_, verdict)| format!("{verdict:?}"));
        Some(ways)
    }
}

fn intervals(field: Field, ranges: Vec<(u128, u128)>) -> Option<Test> {
    if let Field::Interface(way) = field {
        let name = |(first, last): (u128, u128)| super::set::name_range(first.to_be_bytes(), last.to_be_bytes());
        return Some(Test::Interface(way, ranges.into_iter().map(name).collect::<Option<_>>()?));
    }
    field.among(&RangeSet::from_ranges(ranges))
}

/// A lookup that is not understood. Two sets of one name are in different tables or belong to different rules: the text has both.
fn named(loaded: &[Loaded], set: &Set<'_>) -> Test {
    let words: Vec<(String, bool)> = loaded.iter().map(Loaded::words).collect();
    let key = words.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" . ");
    // Two lookups in sets that are not understood are never held for the same.
    Test::Opaque { text: format!("{key} @{}", set.name).into(), volatile: true }
}

fn value_of<'a>(one: &Fields<'a>) -> Option<&'a [u8]> {
    Fields::of(one.get(element::KEY)?).ok()?.get(data::VALUE)
}

fn state_set(elements: &[&Fields<'_>]) -> Option<Test> {
    let mut all = States::default();
    for one in elements {
        let bits = u32::from_ne_bytes(value_of(one)?.try_into().ok()?);
        if !bits.is_power_of_two() {
            return None;
        }
        let one = states(bits)?;
        all.new |= one.new;
        all.established |= one.established;
        all.related |= one.related;
        all.invalid |= one.invalid;
        all.untracked |= one.untracked;
    }
    Some(Test::State(all))
}
