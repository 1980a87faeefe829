//! The committed schema: fresh, in step with the decoder, and right about good and bad specs.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fwc::parse::keys;
use fwc::spec::Timeout;
use serde_json::{Map, Value};

const COMMITTED: &str = "schemas/fwc.schema.json";

fn schema() -> Value {
    serde_json::from_str(&fwc::schema::json()).unwrap()
}

#[test]
fn the_committed_schema_is_fresh() {
    let now = fwc::schema::json();
    if support::golden::is_blessed() {
        std::fs::write(COMMITTED, &now).unwrap();
    }
    assert!(std::fs::read_to_string(COMMITTED).unwrap_or_default() == now, "run FWC_BLESS=1 cargo test --test schema");
}

#[test]
fn schema_and_decoder_have_the_same_keys() {
    let schema = schema();
    let keys_of = |name: &str| {
        let owner = if name == "Spec" { &schema } else { &schema["definitions"][name] };
        let properties = owner["properties"].as_object().unwrap_or_else(|| panic!("{name} has no properties"));
        assert_eq!(owner["additionalProperties"], Value::Bool(false), "{name}");
        properties.keys().cloned().collect::<BTreeSet<String>>()
    };
    let decoder: [(&str, &[&str]); 14] = [
        ("Spec", &keys::SPEC),
        ("Policy", &keys::POLICY),
        ("SetFile", &keys::SET),
        ("Service", &keys::SERVICE),
        ("Client", &keys::CLIENT),
        ("Forward", &keys::FORWARD),
        ("Masquerade", &keys::MASQUERADE),
        ("Snat", &keys::SNAT),
        ("Dnat", &keys::DNAT),
        ("Redirect", &keys::REDIRECT),
        ("Sized", &keys::CONNTRACK),
        ("Timeouts", &Timeout::ALL),
        ("Icmp", &keys::ICMP),
        ("Test", &keys::TEST),
    ];
    for (name, keys) in decoder {
        assert_eq!(keys_of(name), keys.iter().map(ToString::to_string).collect(), "{name}");
    }
    let kinds = schema["definitions"]["Nat"]["oneOf"].as_array().unwrap();
    let kinds: BTreeSet<&str> = kinds.iter().map(|kind| kind["required"][0].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(keys::NAT));
}

#[test]
fn schema_and_decoder_have_the_same_words() {
    let schema = schema();
    let words_of = |owner: &str, key: &str| {
        let property =
            if owner == "Spec" { &schema["properties"][key] } else { &schema["definitions"][owner]["properties"][key] };
        words(property)
    };
    let decoder: [((&str, &str), Vec<&str>); 8] = [
        (("Policy", "input"), keys::FATE.iter().map(|word| word.0).collect()),
        (("Policy", "output"), keys::FATE.iter().map(|word| word.0).collect()),
        (("Policy", "forward"), keys::FATE.iter().map(|word| word.0).collect()),
        (("Test", "expect"), keys::FATE.iter().map(|word| word.0).collect()),
        (("Test", "direction"), keys::DIRECTION.iter().map(|word| word.0).collect()),
        (("Test", "state"), keys::STATE.iter().map(|word| word.0).collect()),
        (("Test", "tracking"), keys::TRACKING.iter().map(|word| word.0).collect()),
        (("Spec", "nat_conflict"), keys::NAT_CONFLICT.iter().map(|word| word.0).collect()),
    ];
    for ((owner, key), expected) in decoder {
        assert_eq!(words_of(owner, key), expected.into_iter().map(ToString::to_string).collect(), "{owner}.{key}");
    }
}

/// The words of an enumeration, however it is written.
fn words(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let text = |value: &Value| value.as_str().map(ToString::to_string);
    found.extend(schema.get("const").and_then(text));
    for list in ["enum", "oneOf", "anyOf"] {
        for item in schema.get(list).and_then(Value::as_array).into_iter().flatten() {
            found.extend(if list == "enum" { text(item).into_iter().collect() } else { words(item) });
        }
    }
    found
}

/// Codes of mistakes that a schema can see. A folder of `tests/diagnostics` with one of them must fail it.
const SEEN: [&str; 5] = ["FWC103", "FWC105", "FWC106", "FWC107", "FWC118"];
/// Codes of mistakes that only the decoder or the meaning can see: with none but these, a spec must pass.
const UNSEEN: [&str; 3] = ["FWC110", "FWC113", "FWC119"];

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

#[test]
fn every_example_passes() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let examples = yaml_files(Path::new("examples"));
    assert!(!examples.is_empty());
    for example in examples {
        let value = yaml(&std::fs::read_to_string(&example).unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", example.display());
    }
}

#[test]
fn bad_specs_fail_where_a_schema_can_see_it() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir("tests/diagnostics").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let (mut failed, mut passed) = (0, 0);
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("spec.yaml")) else { continue };
        let Some(value) = yaml(&text) else { continue };
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        let codes: Vec<&str> = expected.lines().next().unwrap().split_whitespace().skip(1).collect();
        if codes.iter().any(|code| SEEN.contains(code)) {
            assert!(!validator.is_valid(&value), "{} passes, with {codes:?}", folder.display());
            failed += 1;
        } else if codes.iter().all(|code| UNSEEN.contains(code) || !code.starts_with("FWC1")) {
            let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}, with {codes:?}: {errors:?}", folder.display());
            passed += 1;
        }
    }
    assert!(failed >= 5 && passed >= 5, "{failed} failed, {passed} passed: where are the folders?");
}

/// One mistake at a time, each in a spec that is good without it.
#[test]
fn single_mistakes_fail() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let good = "services: {web: {listen: 203.0.113.5:80}}";
    assert!(validator.is_valid(&yaml(good).unwrap()));
    for bad in [
        "services: {web: {listn: 203.0.113.5:80}}",
        "services: {web: {listen: 203.0.113.5:80, port: 80}}",
        "services: {web: {stateless: true}}",
        "services: {Web: {listen: 203.0.113.5:80}}",
        "services: {web: {listen: 203.0.113.5:80, stateless: yes}}",
        "services: {web: {listen: 203.0.113.5:80, stateless: 'true'}}",
        "services: {web: {listen: 80}}",
        "services: {web: {listen: 'host:80'}}",
        "services: {web: {listen: '203.0.113.5:0'}}",
        "services: {web: {listen: []}}",
        "services: {web: }",
        "services: {}",
        "services: [web]",
        "services: {web: {listen: 203.0.113.5:80, protocol: tpc}}",
        "services: {web: {listen: 203.0.113.5:80, protocol: 58}}",
        "services: {web: {listen: 203.0.113.5:80, interface: eth+}}",
        "services: {web: {listen: 203.0.113.5:80, from: {a: b}}}",
        "clients: {dns: {to: '9.9.9.9:53', local_ports: 0}}",
        "clients: {dns: {to: '9.9.9.9:53', local_ports: '80,'}}",
        "sets: {bad: {file: a, path: b}}",
        "sets: {bad: []}",
        "block: []",
        "nat: [{masquerade: {out: eth0}, snat: {out: eth0, to: 203.0.113.9}}]",
        "nat: [{}]",
        "nat: [{redirect: {listen: '*:80', to: 8000-8010}}]",
        "nat: {masquerade: {out: eth0}}",
        "nat_conflict: none",
        "conntrack: off",
        "conntrack: {max: 0}",
        "conntrack: {max: 1M}",
        "conntrack: {timeouts: {tcp_establish: 1s}}",
        "conntrack: {timeouts: {tcp_established: 1.5h}}",
        "policy: {input: deny}",
        "icmp: {ping: 1}",
        "tests: [{packet: 'tcp 192.0.2.1:1 > 192.0.2.2:2'}]",
        "tests: [{expect: accept}]",
        "tests: [{packet: 'tcp 192.0.2.1:1', expect: accept}]",
        "version: 2",
        "version:",
    ] {
        assert!(!validator.is_valid(&yaml(bad).unwrap()), "{bad}");
        let mut sources = fwc::source::Sources::default();
        let (_, found) = fwc::parse::read_text("bad", bad, Path::new(""), &mut sources);
        assert!(!found.is_empty(), "the decoder takes {bad}");
    }
}

/// YAML read by the core schema of YAML 1.2, as editors do. `None` where it is not YAML, or has parts that JSON has not.
fn yaml(text: &str) -> Option<Value> {
    use granit_parser::{Event, Parser, ScalarStyle};
    enum Open {
        List(Vec<Value>),
        Map(Map<String, Value>, Option<String>),
    }
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let done = match event.ok()?.0 {
            Event::Scalar(text, style, 0, None) => match style {
                ScalarStyle::Plain => plain(&text),
                _ => Value::String(text.into_owned()),
            },
            Event::SequenceStart(_, 0, None) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(_, 0, None) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop()? {
                Open::List(items) => Value::Array(items),
                Open::Map(map, _) => Value::Object(map),
            },
            Event::DocumentStart(..) if root.is_some() => return None,
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Comment(..) => {
                continue;
            }
            _ => return None,
        };
        match open.last_mut() {
            None => root = Some(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(map, key)) => match key.take() {
                None => *key = Some(done.as_str().map_or_else(|| done.to_string(), ToString::to_string)),
                Some(key) => {
                    map.insert(key, done);
                }
            },
        }
    }
    root
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
        }
        _ => match text.parse::<f64>() {
            Ok(number) if !text.contains(char::is_alphabetic) => Value::from(number),
            _ => Value::from(text),
        },
    }
}
