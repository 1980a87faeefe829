//! NAT rules that others loaded, found in the real kernel.

mod support;

use fwc::dump::live::{Live, read};
use fwc::dump::nat::{self, NatRule};
use fwc::dump::{Position, TranslationKind};
use fwc::kernel::socket::Socket;
use fwc::net::{AddressSet, Family, RangeSet};
use fwc::policy::footprint::{NewAddress, Target};
use support::Namespace;

fn look(namespace: &Namespace) -> Live {
    namespace.enter(|| read(&mut Socket::open().unwrap()))
}

fn rules(namespace: &Namespace) -> Vec<NatRule> {
    let live = look(namespace);
    assert_eq!(live.unseen, []);
    nat::rules(&live)
}

fn texts(namespace: &Namespace) -> Vec<String> {
    rules(namespace).into_iter().map(|rule| rule.text).collect()
}

#[test]
fn nothing_yields_nothing() {
    let namespace = Namespace::new("kernel");
    assert_eq!(rules(&namespace), []);
    namespace.write_nft(
        "table ip nat { chain p { type nat hook postrouting priority 100; }; chain u { counter; }; }
         table inet filter { chain input { type filter hook input priority 0; policy drop; ct state new accept; }; }
         table inet fwc { chain p { type nat hook postrouting priority 100; masquerade; }; }",
    );
    namespace.ok("iptables-legacy -t nat -L".split_whitespace());
    namespace.ok("ip6tables-legacy -t nat -L".split_whitespace());
    namespace.ok("iptables-legacy -t nat -A PREROUTING -p tcp -j LOG".split_whitespace());
    namespace.ok("iptables-legacy -t filter -A INPUT -j DROP".split_whitespace());
    namespace.ok("iptables-nft -t nat -L".split_whitespace());
    assert_eq!(rules(&namespace), []);
}

#[test]
fn nft_rules_are_found_in_every_family() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft(
        "table ip nat {
           chain post { type nat hook postrouting priority 100; oifname \"eth0\" ip saddr 10.0.0.0/8 masquerade; jump more; };
           chain more { ip saddr 10.2.0.0/16 snat to 203.0.113.9; };
         }
         table ip6 nat { chain pre { type nat hook prerouting priority -100;
           ip6 daddr 2001:db8::5 tcp dport 8443 dnat to [2001:db8::8]:443; }; }
         table inet both {
           set doors { type inet_service; elements = { 8080, 8081 }; };
           chain pre { type nat hook prerouting priority -100; tcp dport @doors redirect to :80; 
             ip saddr != 10.0.0.0/8 udp dport 5000-5009 redirect; ct mark 7 meta l4proto { tcp, udp } redirect to :9; };
           chain filter { type filter hook input priority 0; ip saddr 10.0.0.0/8 accept; };
         }",
    );
    assert_eq!(
        texts(&namespace),
        [
            "ip nat post handle 3: oifname \"eth0\" saddr 10.0.0.0/8 masquerade",
            "ip nat more handle 5: saddr 10.2.0.0/16 snat to 203.0.113.9",
            "ip6 nat pre handle 2: daddr 2001:db8::5 meta l4proto tcp dport 8443 dnat to [2001:db8::8]:443",
            "inet both pre handle 4: meta l4proto tcp dport 8080-8081 redirect to :80",
            "inet both pre handle 5: saddr { 0.0.0.0-9.255.255.255, 11.0.0.0-255.255.255.255 } meta l4proto udp dport 5000-5009 redirect",
            "inet both pre handle 7: meta l4proto { 6, 17 } … redirect to :9",
        ]
        .map(String::from)
    );
    let all = rules(&namespace);
    let dnat = all.iter().find(|rule| rule.kind == Some(TranslationKind::Dnat)).unwrap();
    assert_eq!((dnat.table.as_str(), dnat.matching.family), ("ip6 nat", Some(Family::V6)));
    assert_eq!(dnat.matching.destination_ports, Some(RangeSet::single(8443)));
    assert_eq!(dnat.position, Some(Position::Handle(2)));
    assert!(dnat.matching.understood && dnat.matching.source.is_none());
    assert!(all.iter().all(|rule| rule.legacy.is_none()));
}

#[test]
fn nft_merges_neighbouring_fields_and_they_come_apart_again() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft(
        "table ip nat { chain pre { type nat hook prerouting priority -100;
           ip saddr 192.0.2.1 ip daddr 192.0.2.2 tcp sport 1000 tcp dport 2000 dnat to 10.0.0.1;
           ip saddr . tcp dport != { 192.0.2.1 . 80 } redirect;
           ip daddr 192.0.2.0/23 tcp dport >= 60000 redirect; }; }",
    );
    assert_eq!(
        texts(&namespace),
        [
            "ip nat pre handle 2: saddr 192.0.2.1 daddr 192.0.2.2 meta l4proto tcp sport 1000 dport 2000 dnat to 10.0.0.1",
            "ip nat pre handle 4: meta l4proto tcp … redirect",
            "ip nat pre handle 5: daddr 192.0.2.0/23 meta l4proto tcp dport 60000-65535 redirect",
        ]
        .map(String::from)
    );
}

/// What Docker loads, for either kind of iptables.
fn docker(namespace: &Namespace, tool: &str) {
    for rule in [
        "-N DOCKER",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
        "-A DOCKER ! -i docker0 -d 203.0.113.5 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.17.0.2:443",
        "-A DOCKER -p tcp -m multiport --dports 80,8000:8100 -j REDIRECT --to-ports 3128",
        "-A POSTROUTING -s 10.0.0.0/8 -o eth+ -j SNAT --to-source 203.0.113.9",
        "-A PREROUTING -d 198.51.100.0/24 -j NETMAP --to 10.9.8.0/24",
    ] {
        namespace.ok(format!("{tool} -t nat {rule}").split_whitespace());
    }
}

#[test]
fn iptables_nft_rules_are_found() {
    let namespace = Namespace::new("kernel");
    docker(&namespace, "iptables-nft");
    let all = rules(&namespace);
    let kinds: Vec<_> = all.iter().map(|rule| (rule.chain.as_str(), rule.kind.unwrap())).collect();
    assert_eq!(
        kinds,
        [
            ("DOCKER", TranslationKind::Dnat),
            ("DOCKER", TranslationKind::Redirect),
            ("PREROUTING", TranslationKind::Netmap),
            ("POSTROUTING", TranslationKind::Masquerade),
            ("POSTROUTING", TranslationKind::Snat),
        ]
    );
    same_meaning(&all);
}

#[test]
fn iptables_legacy_rules_are_found() {
    let namespace = Namespace::new("kernel");
    docker(&namespace, "iptables-legacy");
    let all = rules(&namespace);
    same_meaning(&all);
    let texts: Vec<_> = all.iter().map(|rule| rule.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "iptables-legacy nat PREROUTING rule 2: daddr 198.51.100.0/24 netmap to …",
            "iptables-legacy nat POSTROUTING rule 1: saddr 172.17.0.0/16 … masquerade",
            "iptables-legacy nat POSTROUTING rule 2: oifname \"eth*\" saddr 10.0.0.0/8 snat to 203.0.113.9",
            "iptables-legacy nat DOCKER rule 2: daddr 203.0.113.5 meta l4proto tcp dport 8443 … dnat to 172.17.0.2:443",
            "iptables-legacy nat DOCKER rule 3: meta l4proto tcp dport { 80, 8000-8100 } redirect to :3128",
        ]
    );
}

/// Both kinds of iptables mean the same by the same words.
fn same_meaning(all: &[NatRule]) {
    let find = |kind| all.iter().find(|rule| rule.kind == Some(kind)).unwrap();
    let dnat = &find(TranslationKind::Dnat).matching;
    assert_eq!(dnat.family, Some(Family::V4));
    assert_eq!(dnat.destination, Some(["203.0.113.5".parse().unwrap()].into_iter().collect()));
    assert_eq!((&dnat.protocol, &dnat.destination_ports), (&Some(RangeSet::single(6)), &Some(RangeSet::single(8443))));
    assert!(!dnat.understood && dnat.incoming.is_none());
    let redirect = &find(TranslationKind::Redirect).matching;
    assert_eq!(redirect.destination_ports, Some(RangeSet::from_ranges([(80, 80), (8000, 8100)])));
    assert!(redirect.understood);
    let snat = &find(TranslationKind::Snat).matching;
    let [outgoing] = snat.outgoing.as_deref().unwrap() else { panic!("{snat:?}") };
    assert!(outgoing.matches("eth7") && !outgoing.matches("ens1"));
    assert_eq!(snat.source, Some(["10.0.0.0/8".parse().unwrap()].into_iter().collect()));
    assert!(find(TranslationKind::Snat).text.ends_with("snat to 203.0.113.9"));
    assert!(find(TranslationKind::Dnat).text.ends_with("dnat to 172.17.0.2:443"));
    assert!(find(TranslationKind::Redirect).text.ends_with("redirect to :3128"));
    assert_eq!(all.len(), 5);
}

#[test]
fn ip6tables_rules_are_found_in_both_kinds() {
    for (tool, legacy, table) in
        [("ip6tables-nft", None, "ip6 nat"), ("ip6tables-legacy", Some("ip6tables-legacy"), "nat")]
    {
        let namespace = Namespace::new("kernel");
        for rule in [
            "POSTROUTING -s fd00::/64 ! -d fd00::/8 -p udp -m udp --sport 5000:5009 -j MASQUERADE",
            "PREROUTING -i eth0 -d 2001:db8::5 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::8]:8080",
        ] {
            namespace.ok(format!("{tool} -t nat -A {rule}").split_whitespace());
        }
        let all = rules(&namespace);
        let find = |kind| all.iter().find(|rule| rule.kind == Some(kind)).unwrap();
        let (dnat, masquerade) = (find(TranslationKind::Dnat), find(TranslationKind::Masquerade));
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|rule| rule.legacy == legacy && rule.table == table));
        assert_eq!(masquerade.matching.source_ports, Some(RangeSet::range(5000, 5009)));
        let destination = masquerade.matching.destination.as_ref().unwrap();
        assert!(destination.contains("2001:db8::1".parse().unwrap()));
        assert!(!destination.contains("fd00:1::1".parse().unwrap()));
        assert_eq!(dnat.matching.incoming.as_ref().unwrap()[0].name, "eth0");
        assert!(dnat.matching.understood && masquerade.matching.understood, "{all:?}");
        assert!(dnat.text.ends_with("dnat to [2001:db8::8]:8080"), "{}", dnat.text);
    }
}

fn one_of(addresses: &str) -> NewAddress {
    NewAddress::OneOf([addresses.parse().unwrap()].into_iter().collect::<AddressSet>())
}

fn target(address: NewAddress, ports: Option<(u16, u16)>) -> Option<Target> {
    Some(Target { address, ports: ports.map(|(first, last)| RangeSet::range(first, last)) })
}

#[test]
fn nft_rules_tell_where_flows_go() {
    let anywhere = || NewAddress::OneOf(AddressSet::all());
    let cases = [
        ("ip daddr 192.0.2.1 dnat to 10.0.0.8", target(one_of("10.0.0.8"), None)),
        ("tcp dport 8443 dnat to 10.0.0.8:443", target(one_of("10.0.0.8"), Some((443, 443)))),
        ("tcp dport 8443 dnat to 10.0.0.8-10.0.0.11:443-445", target(one_of("10.0.0.8-10.0.0.11"), Some((443, 445)))),
        ("tcp dport 8443 dnat to :443", target(NewAddress::Kept, Some((443, 443)))),
        (
            "ip daddr 192.0.2.0/24 dnat ip prefix to ip daddr map { 192.0.2.0/24 : 10.1.0.0/24 }",
            target(anywhere(), None),
        ),
        ("dnat to tcp dport map { 80 : 10.0.0.8, 81 : 10.0.0.9 }", target(anywhere(), None)),
        (
            "meta l4proto tcp dnat ip to ip saddr map { 10.1.1.1 : 10.0.0.8 . 80 }",
            target(anywhere(), Some((0, u16::MAX))),
        ),
        ("dnat to jhash ip saddr mod 2 map { 0 : 10.0.0.8, 1 : 10.0.0.9 }", target(anywhere(), None)),
        ("meta l4proto tcp redirect", target(NewAddress::ThisHost, None)),
        ("tcp dport 8080 redirect to :80-89", target(NewAddress::ThisHost, Some((80, 89)))),
        ("tcp dport 8080 redirect to :tcp dport map { 8080 : 80 }", target(NewAddress::ThisHost, Some((0, u16::MAX)))),
    ];
    for (rule, expected) in cases {
        let namespace = Namespace::new("kernel");
        namespace
            .write_nft(&format!("table ip nat {{ chain pre {{ type nat hook prerouting priority -100; {rule}; }}; }}"));
        let found: Vec<_> = rules(&namespace).into_iter().map(|rule| rule.target).collect();
        assert_eq!(found, [expected], "{rule}");
    }
    let namespace = Namespace::new("kernel");
    namespace.write_nft(
        "table ip6 nat { chain pre { type nat hook prerouting priority -100; tcp dport 8443 dnat to [2001:db8::8]:443; };
           chain post { type nat hook postrouting priority 100; masquerade; oifname eth0 snat to 2001:db8::9; }; }",
    );
    let found: Vec<_> = rules(&namespace).into_iter().map(|rule| rule.target).collect();
    assert_eq!(found, [target(one_of("2001:db8::8"), Some((443, 443))), None, None]);
}

#[test]
fn rules_of_both_kinds_of_iptables_tell_where_flows_go() {
    let cases = [
        ("-d 192.0.2.1 -j DNAT --to-destination 10.0.0.8", target(one_of("10.0.0.8"), None)),
        (
            "-p tcp -j DNAT --to-destination 10.0.0.8-10.0.0.11:443-445",
            target(one_of("10.0.0.8-10.0.0.11"), Some((443, 445))),
        ),
        ("-p tcp -j DNAT --to-destination :443", target(NewAddress::Kept, Some((443, 443)))),
        ("-p tcp -j REDIRECT", target(NewAddress::ThisHost, None)),
        ("-p tcp -j REDIRECT --to-ports 80-89", target(NewAddress::ThisHost, Some((80, 89)))),
        ("-d 198.51.100.0/24 -j NETMAP --to 10.9.8.0/24", Some(Target::unknown())),
    ];
    for tool in ["iptables-nft", "iptables-legacy"] {
        let namespace = Namespace::new("kernel");
        for (rule, _) in &cases {
            namespace.ok(format!("{tool} -t nat -A PREROUTING {rule}").split_whitespace());
        }
        namespace.ok(format!("{tool} -t nat -A POSTROUTING -j MASQUERADE").split_whitespace());
        let found: Vec<_> = rules(&namespace).into_iter().map(|rule| rule.target).collect();
        let expected: Vec<_> = cases.iter().map(|(_, target)| target.clone()).chain([None]).collect();
        assert_eq!(found, expected, "{tool}");
    }
    for tool in ["ip6tables-nft", "ip6tables-legacy"] {
        let namespace = Namespace::new("kernel");
        namespace.ok(format!("{tool} -t nat -A PREROUTING -p tcp -j DNAT --to-destination [2001:db8::8]:8080")
            .split_whitespace());
        namespace.ok(format!("{tool} -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 80").split_whitespace());
        let found: Vec<_> = rules(&namespace).into_iter().map(|rule| rule.target).collect();
        let expected =
            [target(one_of("2001:db8::8"), Some((8080, 8080))), target(NewAddress::ThisHost, Some((80, 80)))];
        assert_eq!(found, expected, "{tool}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let namespace = Namespace::new("kernel");
    let live = namespace.enter(|| {
        let mut socket = Socket::open().unwrap();
        // This thread alone loses root's rights to files.
        nix::unistd::setfsgid(1000.into());
        nix::unistd::setfsuid(1000.into());
        read(&mut socket)
    });
    // The names of the legacy tables are root's, and netlink asks for other rights.
    assert_eq!(nat::rules(&live), []);
    assert!(live.unseen.iter().any(|unseen| unseen.what.contains("iptables-legacy")), "{:?}", live.unseen);
    assert!(live.unseen.iter().all(|unseen| unseen.why.is_permission()), "{:?}", live.unseen);
}

#[test]
fn what_many_rules_ask_for_narrows_too() {
    let namespace = Namespace::new("kernel");
    namespace.ok("ip link add eth7 type veth peer name eth8".split_whitespace());
    namespace.write_nft(
        "table ip nat {
           set none { type ipv4_addr; };
           chain post { type nat hook postrouting priority 100;
             oif eth7 masquerade; oif != eth7 masquerade; oifname { \"a\", \"b\" } masquerade; ip saddr @none masquerade;
             ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 443 } masquerade;
             ip saddr { 10.0.0.1, 10.0.0.7-10.0.0.9 } udp sport { 53, 5353 } snat to 192.0.2.1-192.0.2.4:100-200; }; }",
    );
    assert_eq!(
        texts(&namespace),
        [
            "ip nat post handle 3: oifname \"eth7\" masquerade",
            "ip nat post handle 4: … masquerade",
            "ip nat post handle 6: oifname { \"a\", \"b\" } masquerade",
            "ip nat post handle 7: never masquerade",
            "ip nat post handle 9: saddr 10.0.0.1-10.0.0.2 meta l4proto tcp dport { 80, 443 } … masquerade",
            "ip nat post handle 12: saddr { 10.0.0.1, 10.0.0.7-10.0.0.9 } meta l4proto udp sport { 53, 5353 } \
             snat to 192.0.2.1-192.0.2.4:100-200",
        ]
        .map(String::from)
    );
}

/// One command would wake them.
#[test]
fn rules_that_sleep_count_too() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft(
        "table ip asleep { flags dormant; chain post { type nat hook postrouting priority 100; masquerade; }; }
         table ip6 loose { chain later { ip6 saddr fd00::/8 masquerade; }; }",
    );
    let expected = ["ip asleep post handle 2: masquerade", "ip6 loose later handle 2: saddr fd00::/8 masquerade"];
    assert_eq!(texts(&namespace), expected.map(String::from));
}
