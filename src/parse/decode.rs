//! The sections of a spec.

use super::entries;
use super::keys;
use super::reader::{self, Field, Given, Owner, Reader};
use super::tree::{Shape, Style, Tree};
use super::{Draft, nat};
use crate::diagnostic::finding::{empty, given_twice, missing_key, unknown_key, version, word, wrong_shape};
use crate::net::{AddressPattern, AddressRanges, Name, Seconds};
use crate::source::{FileId, Place, Placed};
use crate::spec::{Conntrack, Entry, SetSpec, Spec, Test, Timeout};

/// Reads one file's text into the draft. An empty file is an error only where the whole spec is empty, which the caller sees
/// from the draft.
pub(super) fn file(text: &str, file: FileId, draft: &mut Draft) {
    let Some(tree) = Tree::build(text, file, &mut draft.report) else { return };
    let Some(root) = tree.root() else { return };
    draft.has_content = true;
    let mut reader = Reader { tree: &tree, report: &mut draft.report, seen: &mut draft.seen, meant: Vec::new() };
    let start = Place { file, start: root.at.start, end: root.at.end };
    let owner = Owner { what: "the spec", name: None, place: start };
    if let Some(fields) = reader.fields(&owner, root, &keys::SPEC) {
        sections(&mut reader, fields, &mut draft.spec);
    }
    if let Some(place) = tree.exhausted() {
        draft.report.add_fatal(crate::diagnostic::finding::not_yaml::alias_bomb(place));
    }
}

fn sections(r: &mut Reader<'_, '_>, fields: [Option<Field>; 12], spec: &mut Spec) {
    let [written, policy, sets, block, services, clients, forward, nat, nat_conflict, conntrack, icmp, tests] = fields;
    if let Some(field) = written {
        check_version(r, &field);
    }
    if let Some(field) = policy {
        defaults(r, &field, spec);
    }
    if let Some(field) = sets {
        named(r, ("sets", "set"), &field, &mut spec.sets, set);
    }
    if let Some(field) = block {
        let items: Vec<Placed<AddressPattern>> = r.values(&field);
        spec.block.get_or_insert_with(|| Placed::new(Vec::new(), field.value.at)).value.extend(items);
    }
    if let Some(field) = services {
        named(r, ("services", "service"), &field, &mut spec.services, entries::service);
    }
    if let Some(field) = clients {
        named(r, ("clients", "client"), &field, &mut spec.clients, entries::client);
    }
    if let Some(field) = forward {
        named(r, ("forward", "forward"), &field, &mut spec.forward, entries::forward);
    }
    if let Some(field) = nat {
        list(r, &field, &mut spec.nat, nat::item);
    }
    if let Some(field) = nat_conflict
        && r.once(Given::Key("nat_conflict", ""), || field.title(), field.key)
        && let Some(word) = r.word(&field, &keys::NAT_CONFLICT)
    {
        spec.nat_conflict = Some(word);
    }
    if let Some(field) = conntrack {
        sizing(r, &field, &mut spec.conntrack);
    }
    if let Some(field) = icmp
        && let Some([Some(ping)]) = r.fields(&field.owner("`icmp`"), field.value, &keys::ICMP)
        && r.once(Given::Key("icmp", ping.name), || ping.title(), ping.key)
    {
        spec.ping = r.truth(&ping);
    }
    if let Some(field) = tests {
        list(r, &field, &mut spec.tests, test);
    }
}

/// May stand in every file of a directory.
fn check_version(r: &mut Reader<'_, '_>, field: &Field) {
    let Some((text, style)) = r.text(field) else { return };
    let place = r.tree.own_place(field.value);
    if text != "1" {
        r.report.add(version::report(text, place));
    } else if style != Style::Plain {
        r.report.add(wrong_shape::report("`version`", "a number", "a text in quotes", "write `version: 1`", place));
    }
}

fn defaults(r: &mut Reader<'_, '_>, field: &Field, spec: &mut Spec) {
    let Some(fields) = r.fields(&field.owner("`policy`"), field.value, &keys::POLICY) else { return };
    let slots = [&mut spec.policy.input, &mut spec.policy.output, &mut spec.policy.forward];
    for (field, slot) in fields.into_iter().zip(slots) {
        if let Some(field) = field
            && r.once(Given::Key("policy", field.name), || field.title(), field.key)
        {
            *slot = r.word(&field, &keys::FATE);
        }
    }
}

/// A section of entries under their names. The pair is the section's key and what one entry is called.
fn named<T>(
    r: &mut Reader<'_, '_>,
    (section, what): (&'static str, &'static str),
    field: &Field,
    entries: &mut Vec<Entry<T>>,
    mut read: impl FnMut(&mut Reader<'_, '_>, &Owner<'_>, &Field) -> Option<T>,
) {
    let quoted = match section {
        "sets" => "`sets`",
        "services" => "`services`",
        "clients" => "`clients`",
        _ => "`forward`",
    };
    if !r.is_mapping(&field.owner(quoted), field.value, &[]) {
        return;
    }
    for (key, value) in r.tree.pairs(field.value) {
        let Some(text) = r.key(key) else { continue };
        if text == "<<" {
            r.report.add(unknown_key::merge_key(key.at));
            continue;
        }
        let name = match text.parse::<Name>() {
            Ok(name) => {
                let given = Given::Entry(section, name.clone());
                r.once(given, || format!("{what} `{text}`"), key.at).then_some(name)
            }
            Err(mistake) => {
                r.invalid(mistake, key);
                None
            }
        };
        let owner = Owner { what, name: Some(text), place: key.at };
        let value = read(r, &owner, &Field { name: what, key: key.at, value });
        if let (Some(name), Some(value)) = (name, value) {
            entries.push(Entry { name: Placed::new(name, key.at), value });
        }
    }
}

/// A section that is a list of mappings.
fn list<T>(
    r: &mut Reader<'_, '_>,
    field: &Field,
    out: &mut Vec<T>,
    mut read: impl FnMut(&mut Reader<'_, '_>, &Field) -> Option<T>,
) {
    let shape = r.tree.shape(field.value);
    match shape {
        Shape::List => {}
        Shape::Null => return r.report.add(empty::report(&field.title(), field.key)),
        Shape::Bad => return,
        _ => {
            let help = "start each item with `- `";
            let place = r.tree.own_place(field.value);
            return r.report.add(wrong_shape::report(&field.title(), "a list", reader::noun(shape), help, place));
        }
    }
    let mut items = r.tree.items(field.value).peekable();
    if items.peek().is_none() {
        r.report.add(empty::report(&field.title(), field.key));
    }
    out.extend(items.filter_map(|value| read(r, &Field { key: value.at, value, ..*field })));
}

/// A set: addresses, or a file of them. A set whose content is refused stays, empty, so that its name is known.
#[allow(clippy::unnecessary_wraps)] // The shape of an entry's reader.
fn set(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<SetSpec> {
    let shape = r.tree.shape(field.value);
    if shape == Shape::Null || shape == Shape::List && r.tree.items(field.value).next().is_none() {
        r.report.add(empty::report(&owner.to_string(), owner.place));
        return Some(SetSpec::Inline(Vec::new()));
    }
    if shape != Shape::Map {
        let items: Vec<Placed<AddressPattern>> = r.values(&Field { name: "an address", ..*field });
        return Some(SetSpec::Inline(items));
    }
    let path = r.fields(owner, field.value, &keys::SET).and_then(|[file]| {
        let file = r.required(file, owner, "file", "NAME")?;
        let (text, _) = r.text(&file)?;
        if text.is_empty() {
            r.report.add(empty::report("`file`", file.key));
            return None;
        }
        Some(Placed::new(text.to_string(), file.value.at))
    });
    Some(
        path.map_or_else(
            || SetSpec::Inline(Vec::new()),
            |path| SetSpec::File { path, ranges: AddressRanges::default() },
        ),
    )
}

fn sizing(r: &mut Reader<'_, '_>, field: &Field, conntrack: &mut Option<Placed<Conntrack>>) {
    let read = match r.tree.shape(field.value) {
        Shape::Scalar(keys::DISABLED, _) => Some(Conntrack::Disabled),
        Shape::Scalar(text, _) => {
            let place = r.tree.own_place(field.value);
            r.report.add(word::conntrack(text, place));
            None
        }
        _ => table(r, field),
    };
    let Some(read) = read else { return };
    match (conntrack.as_mut(), read) {
        (None, read) => *conntrack = Some(Placed::new(read, field.key)),
        (
            Some(Placed { value: Conntrack::Sized { max, buckets, timeouts }, .. }),
            Conntrack::Sized { max: more_max, buckets: more_buckets, timeouts: more },
        ) => {
            *max = max.take().or(more_max);
            *buckets = buckets.take().or(more_buckets);
            timeouts.extend(more);
        }
        (Some(first), _) => {
            let help = "keep one: the word `disabled`, or the table's size";
            r.report.add(given_twice::report("`conntrack`", help, first.place, field.key));
        }
    }
}

fn table(r: &mut Reader<'_, '_>, field: &Field) -> Option<Conntrack> {
    let [max, buckets, timeouts] = r.fields(&field.owner("`conntrack`"), field.value, &keys::CONNTRACK)?;
    let mut number = |field: Option<Field>| {
        let field = field.filter(|field| r.once(Given::Key("conntrack", field.name), || field.title(), field.key))?;
        r.number(&field)
    };
    let (max, buckets) = (number(max), number(buckets));
    let timeouts = timeouts.map(|field| durations(r, &field)).unwrap_or_default();
    Some(Conntrack::Sized { max, buckets, timeouts })
}

fn durations(r: &mut Reader<'_, '_>, field: &Field) -> Vec<Placed<(Timeout, Seconds)>> {
    let mut found = Vec::new();
    let owner = field.owner("`timeouts`");
    if !r.is_mapping(&owner, field.value, &["tcp_established"]) {
        return found;
    }
    for (key, value) in r.tree.pairs(field.value) {
        let Some(text) = r.key(key) else { continue };
        let Some(timeout) = Timeout::named(text) else {
            r.report.add(unknown_key::report(text, "`timeouts`", &Timeout::ALL, key.at));
            continue;
        };
        let first = r.once(Given::Key("timeouts", timeout.0), || format!("`{text}`"), key.at);
        let seconds = r.value::<Seconds>(&Field { name: timeout.0, key: key.at, value });
        if let Some(seconds) = seconds.filter(|_| first) {
            found.push(seconds.map(|seconds| (timeout, seconds)));
        }
    }
    found
}

/// An assertion; its place is that of its packet.
fn test(r: &mut Reader<'_, '_>, item: &Field) -> Option<Placed<Test>> {
    let owner = Owner { what: "a test", name: None, place: item.value.at };
    let [packet, direction, interface, state, expect, tracking, reply] = r.fields(&owner, item.value, &keys::TEST)?;
    if expect.is_none() && tracking.is_none() {
        let help = "add `expect: accept`, `expect: drop`, `tracking: tracked` or `tracking: untracked`";
        let place = packet.map_or(owner.place, |packet| packet.key);
        r.report.add(missing_key::report("a test", "`expect` and no `tracking`, so it asserts nothing", help, place));
    }
    let packet = r.required(packet, &owner, "packet", "\"tcp 198.51.100.7:40000 > 203.0.113.5:80 syn\"");
    let packet = packet.and_then(|field| r.value(&field));
    let direction = direction.and_then(|field| r.word(&field, &keys::DIRECTION));
    let interface = interface.and_then(|field| r.value(&field));
    let state = state.and_then(|field| r.word(&field, &keys::STATE));
    let expect = expect.and_then(|field| r.word(&field, &keys::FATE));
    let tracking = tracking.and_then(|field| r.word(&field, &keys::TRACKING));
    let reply = reply.and_then(|field| r.truth(&field));
    let packet = packet?;
    let place = packet.place;
    let test = Test {
        packet,
        direction: direction.map(|word| word.value).unwrap_or_default(),
        interface,
        state: state.map(|word| word.value).unwrap_or_default(),
        expect,
        tracking,
        reply,
    };
    Some(Placed::new(test, place))
}
