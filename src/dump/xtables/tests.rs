use super::*;
use crate::dump::{Condition, Effect, Side, States, Test, Verdict};
use crate::source::Sources;

fn dump(text: &str, family: Family) -> Dump {
    let mut sources = Sources::default();
    let file = sources.add("rules", text);
    read(file, text, family, &Ipsets::default())
}

fn one(line: &str, family: Family) -> super::super::Rule {
    let text = format!("*filter\n:INPUT DROP [0:0]\n:other - [0:0]\n-A INPUT {line}\nCOMMIT\n");
    let dump = dump(&text, family);
    assert_eq!(dump.unread, [], "{line}");
    dump.chains[0].rules[0].clone()
}

fn tests_of(line: &str) -> Vec<String> {
    let rule = one(line, Family::V4);
    rule.conditions.iter().map(|c| format!("{}{:?}", if c.negated { "! " } else { "" }, c.test)).collect()
}

#[test]
fn common_conditions_are_understood() {
    for line in [
        "-s 192.0.2.0/24 -d 203.0.113.5/32 -i eth0 -p tcp -m tcp --sport 1024:65535 --dport 80 -j ACCEPT",
        "-p udp -m multiport --dports 53,123,1000:2000 -m comment --comment \"two words\" -j ACCEPT",
        "! -s 10.0.0.0/8 ! -i lo -p tcp -m tcp ! --tcp-flags SYN,ACK SYN -j DROP",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-m state --state INVALID -j DROP",
        "-p icmp -m icmp --icmp-type 3/4 -j ACCEPT",
        "-m addrtype ! --dst-type LOCAL -j RETURN",
        "-m conntrack --ctstate NEW,DNAT -j ACCEPT",
        "-m iprange --src-range 192.0.2.1-192.0.2.9 -j other",
        "-p tcp -m tcp --syn -g other",
    ] {
        let rule = one(line, Family::V4);
        assert!(
            rule.conditions.iter().all(|condition| condition.test.is_understood()),
            "{line}: {:?}",
            rule.conditions
        );
    }
}

#[test]
fn words_become_tests() {
    assert_eq!(tests_of("-p tcp -m tcp --dport 22 -j ACCEPT").len(), 2);
    let rule = one("-m state --state NEW,ESTABLISHED -j ACCEPT", Family::V4);
    let states = States { new: true, established: true, ..States::default() };
    assert!(
        matches!(rule.conditions.as_slice(), [Condition { negated: false, test: Test::State(found) }] if *found == states)
    );
    let rule = one("! -d 10.0.0.0/8 -j ACCEPT", Family::V4);
    assert!(matches!(
        rule.conditions.as_slice(),
        [Condition { negated: true, test: Test::Address(Side::Destination, _) }]
    ));
    assert_eq!(one("-j CT --notrack", Family::V4).effects, [Effect::Notrack]);
    assert!(matches!(
        one("-p tcp -m tcp -j ACCEPT", Family::V4).conditions.as_slice(),
        [_, Condition { test: Test::Port(..), .. }]
    ));
}

#[test]
fn what_is_not_understood_is_kept() {
    let opaque = |line: &str| match one(line, Family::V4).conditions.last().map(|c| c.test.clone()) {
        Some(Test::Opaque { text, volatile }) => (text.to_string(), volatile),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(opaque("-m limit --limit 3/min -j ACCEPT"), ("-m limit --limit 3/min".to_string(), true));
    assert_eq!(opaque("-m socket -j ACCEPT"), ("-m socket".to_string(), false));
    assert_eq!(opaque("-m set --match-set unknown src -j DROP"), ("-m set --match-set unknown src".to_string(), true));
    assert!(matches!(one("-j QUEUE --x 1", Family::V4).verdict, Verdict::Unknown(text) if text == "QUEUE --x 1"));
}

#[test]
fn mistakes_are_told_at_their_lines() {
    let why = |text: &str| dump(text, Family::V4).unread.into_iter().map(|unread| unread.why).collect::<Vec<_>>();
    assert_eq!(why("*filter\n:INPUT DROP\nrubbish here\nCOMMIT\n").len(), 1);
    assert!(why("*filter\n:INPUT DROP\n-A NOWHERE -j ACCEPT\nCOMMIT\n")[0].contains("not declared"));
    assert!(why("*filter\n:INPUT DROP\n-A INPUT -j ACCEPT\n")[0].contains("COMMIT"));
    assert!(why("*wrong\nCOMMIT\n")[0].contains("no table"));
    assert!(why("*filter\n:a - [0:0]\n:b - [0:0]\n-A a -j b\n-A b -j a\nCOMMIT\n")[0].contains("leads back"));
    assert!(why("*filter\n:a - [0:0]\n-A a -m comment --comment \"open -j ACCEPT\nCOMMIT\n")[0].contains("quote"));
}

#[test]
fn a_line_of_the_other_family_is_left_out() {
    let text =
        "*filter\n:INPUT DROP\n-A INPUT -4 -s 192.0.2.1 -j ACCEPT\n-A INPUT -6 -s 2001:db8::1 -j ACCEPT\nCOMMIT\n";
    for family in Family::BOTH {
        let dump = dump(text, family);
        assert_eq!((dump.chains[0].rules.len(), dump.unread.len()), (1, 0));
    }
    assert_eq!(guess_family("-A INPUT -s 2001:db8::1 -j ACCEPT"), Some(Family::V6));
    assert_eq!(guess_family("-A INPUT -s 192.0.2.0/24 -j ACCEPT"), Some(Family::V4));
    assert_eq!(guess_family("-A INPUT -j ACCEPT"), None);
}

#[test]
fn golden_files_are_read_whole() {
    let mut files = 0;
    for folder in std::fs::read_dir("tests/golden/iptables").unwrap().map(|entry| entry.unwrap().path()) {
        let ipset = std::fs::read_to_string(folder.join("rules.ipset")).unwrap_or_default();
        for (name, family) in [("rules.v4", Family::V4), ("rules.v6", Family::V6)] {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let file = Sources::default().add(name, text.as_str());
            let dump = read(file, &text, family, &Ipsets::read(&ipset));
            assert_eq!(dump.unread, [], "{}", folder.display());
            for (_, rule) in dump.rules() {
                let opaque = rule.conditions.iter().find(|condition| !condition.test.is_understood());
                assert!(opaque.is_none(), "{}: {opaque:?}", folder.display());
            }
            files += 1;
        }
    }
    assert!(files > 10);
}
