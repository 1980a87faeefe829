//! One `-A` line.

use std::sync::Arc;

use super::matches::{self, Asked};
use super::targets;
use super::words::{Word, cut};
use crate::dump::ipset::Ipsets;
use crate::dump::{ChainId, Condition, Effect, InterfacePattern, Parts, Rule, Test, Verdict, Way};
use crate::net::{Family, RangeSet};
use crate::source::Place;

/// What a line may refer to.
pub(super) struct Context<'a> {
    pub family: Family,
    pub ipsets: &'a Ipsets,
    /// The chains of the line's table, by name.
    pub chains: &'a dyn Fn(&str) -> Option<ChainId>,
}

/// Reads a line: the chain's name and the rule. `None`: a line for the other family. An error says why it is no rule.
pub(super) fn read(context: &Context<'_>, place: Place, line: &str) -> Result<Option<(String, Rule)>, String> {
    let words = cut(line).ok_or("a quote is not closed")?;
    let mut words = words.as_slice();
    // Counters in front, as `iptables-save -c` writes them.
    if let [first, rest @ ..] = words
        && first.text.starts_with('[')
    {
        words = rest;
    }
    let [append, chain, rest @ ..] = words else { return Err("this is no rule".to_string()) };
    if !matches!(append.text.as_str(), "-A" | "--append") {
        return Err(format!("`{}` is not followed: only rules that are appended with -A are", append.text));
    }
    let mut draft =
        Draft { context, conditions: Vec::new(), module: None, protocol: None, comment: None, unused: None };
    let Some(end) = draft.options(rest)? else { return Ok(None) };
    draft.finish_module();
    let (effects, verdict) = end.unwrap_or((Vec::new(), Verdict::Continue));
    let Draft { conditions, comment, .. } = draft;
    Ok(Some((chain.text.clone(), Rule { conditions, effects, verdict, place, comment, position: None })))
}

type End = (Vec<Effect>, Verdict);

struct Draft<'a> {
    context: &'a Context<'a>,
    conditions: Vec<Condition>,
    /// The match extension whose options are read.
    module: Option<String>,
    protocol: Option<u8>,
    comment: Option<Arc<str>>,
    /// A transport extension of which no option has come yet: by itself it asks for the header.
    unused: Option<String>,
}

impl Draft<'_> {
    /// All options of a line. `Ok(None)`: it is for the other family.
    fn options(&mut self, mut words: &[Word]) -> Result<Option<Option<End>>, String> {
        let mut negated = false;
        while let [first, rest @ ..] = words {
            words = rest;
            if first.text == "!" && !first.quoted {
                negated = true;
                continue;
            }
            let mut value = || -> Result<String, String> {
                // The old way of writing a negation.
                if let [bang, behind @ ..] = words
                    && bang.text == "!"
                {
                    negated = true;
                    words = behind;
                }
                let [value, behind @ ..] = words else { return Err(format!("`{}` has no value", first.text)) };
                words = behind;
                Ok(value.text.clone())
            };
            match first.text.as_str() {
                "-4" | "--ipv4" if self.context.family == Family::V6 => return Ok(None),
                "-6" | "--ipv6" if self.context.family == Family::V4 => return Ok(None),
                "-4" | "--ipv4" | "-6" | "--ipv6" => {}
                "-s" | "--source" | "--src" | "-d" | "--destination" | "--dst" => {
                    let value = value()?;
                    self.address(&first.text, &value, negated)?;
                }
                "-i" | "--in-interface" | "-o" | "--out-interface" => {
                    let way =
                        if first.text.contains('i') && first.text != "--out-interface" { Way::In } else { Way::Out };
                    let name = value()?;
                    self.conditions.push(Condition { negated, test: Test::Interface(way, vec![pattern(&name)]) });
                }
                "-p" | "--protocol" | "--proto" => {
                    let name = value()?;
                    self.protocol(&name, negated)?;
                }
                "-f" | "--fragment" => {
                    self.conditions.push(Condition { negated, test: Test::Fragment(Parts::LATER) });
                }
                "-c" | "--set-counters" => {
                    value()?;
                    value()?;
                }
                "-m" | "--match" => {
                    let name = value()?;
                    self.finish_module();
                    self.start_module(name);
                }
                "-j" | "--jump" | "-g" | "--goto" => {
                    let target = value()?;
                    let goto = first.text.starts_with("-g") || first.text == "--goto";
                    return Ok(Some(Some(self.target(&target, goto, words)?)));
                }
                option if first.is_option() && (self.is_about_nothing() || is_shortened(option)) => {
                    return Err(format!("`{option}` is not followed: write options as iptables-save does"));
                }
                "--comment" => {
                    self.comment = Some(value()?.into());
                    self.unused = None;
                }
                option if first.is_option() => {
                    let end = words.iter().position(Word::is_option).unwrap_or(words.len());
                    let (values, behind) = words.split_at(end);
                    words = behind;
                    let values: Vec<&str> = values.iter().map(|word| word.text.as_str()).collect();
                    self.extension(option, &values, negated);
                }
                other => return Err(format!("`{other}` is no option")),
            }
            negated = false;
        }
        Ok(Some(None))
    }

    fn address(&mut self, option: &str, value: &str, negated: bool) -> Result<(), String> {
        let side = if option.starts_with("-s") || option.starts_with("--s") {
            crate::dump::Side::Source
        } else {
            crate::dump::Side::Destination
        };
        let test = match matches::addresses(value, self.context.family) {
            Some(set) => Test::Address(side, Arc::new(set)),
            None => opaque(format!("{option} {value}"), false),
        };
        self.conditions.push(Condition { negated, test });
        Ok(())
    }

    fn protocol(&mut self, name: &str, negated: bool) -> Result<(), String> {
        if matches!(name, "all" | "0") {
            return Ok(());
        }
        let number = matches::protocol(name).ok_or_else(|| format!("`{name}` is no protocol that fwc knows"))?;
        if !negated {
            self.protocol = Some(number);
        }
        self.conditions.push(Condition { negated, test: Test::Protocol(RangeSet::single(number)) });
        Ok(())
    }

    /// Whether no extension is named yet: a protocol is one by itself.
    fn is_about_nothing(&self) -> bool {
        self.module.is_none() && self.protocol.is_none()
    }

    fn start_module(&mut self, name: String) {
        if matches::TRANSPORTS.contains(&name.as_str()) {
            self.unused = Some(name.clone());
        } else if !matches::KNOWN.contains(&name.as_str()) {
            // An extension without options asks something by being there (`-m socket`).
            self.unused = Some(name.clone());
        }
        self.module = Some(name);
    }

    /// An extension none of whose options were given.
    fn finish_module(&mut self) {
        let Some(name) = self.unused.take() else { return };
        if matches::TRANSPORTS.contains(&name.as_str()) {
            self.conditions.push(Condition::is(Test::Port(crate::dump::Side::Destination, RangeSet::all())));
        } else {
            let volatile = matches::is_volatile(&name);
            self.conditions.push(Condition::is(opaque(format!("-m {name}"), volatile)));
        }
    }

    /// An option of an extension. What is not understood is kept as it is written.
    fn extension(&mut self, option: &str, values: &[&str], negated: bool) {
        let module = self.module.clone().unwrap_or_default();
        self.unused = None;
        let asked = Asked { module: &module, option, values, protocol: self.protocol, family: self.context.family };
        match matches::test(&asked, self.context.ipsets) {
            Some(matches::Found::Condition(condition)) => {
                let negated = condition.negated != negated;
                self.conditions.push(Condition { negated, test: condition.test });
            }
            Some(matches::Found::Nothing) => {}
            None => {
                let text = format!("-m {module} {option} {}", values.join(" "));
                let test = opaque(text.trim_end().to_string(), matches::is_volatile(&module));
                self.conditions.push(Condition { negated, test });
            }
        }
    }

    fn target(&self, name: &str, goto: bool, options: &[Word]) -> Result<End, String> {
        if let Some(chain) = (self.context.chains)(name) {
            return Ok((Vec::new(), if goto { Verdict::Goto(chain) } else { Verdict::Jump(chain) }));
        }
        if goto {
            return Err(format!("there is no chain `{name}` in this table"));
        }
        let options: Vec<&str> = options.iter().map(|word| word.text.as_str()).collect();
        Ok(targets::read(name, &options, self.context.family))
    }
}

/// Whether an option may be the jump in a spelling that only the programs understand: `-jACCEPT`, `--jum`, `--jump=ACCEPT`.
fn is_shortened(option: &str) -> bool {
    let clustered = !option.starts_with("--") && option.len() > 2;
    let cut = option.len() > 2 && ["--jump", "--goto"].iter().any(|whole| whole.starts_with(option));
    clustered || cut || option.contains('=')
}

pub(super) fn opaque(text: String, volatile: bool) -> Test {
    // What looks at conntrack must be known to do so: it makes the kernel track.
    Test::Opaque { text: text.into(), volatile }
}

fn pattern(name: &str) -> InterfacePattern {
    match name.strip_suffix('+') {
        Some(start) => InterfacePattern { name: start.to_string(), prefix: true },
        None => InterfacePattern::exact(name),
    }
}
