//! Hosts with NAT: what must stay tracked, and what need not.

use super::support::{ConntrackMax, Link, Nginx, Spec, try_apply};
use super::{doctor, entries};

/// As Docker writes for a container whose port 80 is published as 8080.
const DOCKER: &str = "
table ip nat {
    chain DOCKER {
        meta l4proto tcp tcp dport 8080 counter dnat to 172.17.0.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump DOCKER
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.17.0.0/16 oifname != \"docker0\" counter masquerade
    }
}
";
/// A rule that leads into the web server.
const REDIRECT: &str = "
table ip more {
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 8443 counter redirect to :80
    }
}
";

#[test]
fn what_nat_touches_is_named_with_its_rules_and_the_rest_is_freed() {
    // Less than what is put in would not do; at this figure the table is nearly full. The kernel thins out such a table by itself, but not
    // established flows (`gc_worker_can_early_drop`).
    let _limit = ConntrackMax::lower(110);
    let link = Link::new("nat");
    let server = &link.server;
    let _web = Nginx::start(server, &["203.0.113.5:80", "203.0.113.5:81"]);
    server.write_nft(DOCKER);
    let lines = |port: u16| -> String {
        let line = |from: u16| {
            format!(
                "-A -s 198.51.100.7 -d 203.0.113.5 -p tcp --sport {from} --dport {port} --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 600\n"
            )
        };
        (40_000..40_050).map(line).collect()
    };
    let both = lines(80) + &lines(81);
    server.run_with(["conntrack", "-R", "-"], &both).expect_success("conntrack -R");

    let (document, status, codes) = doctor(server);
    assert_eq!((status, codes), (1, vec!["FWC422".to_owned()]), "{document:#}");
    assert_eq!(entries(&document, "tcp 80 (nginx)"), Some(50));
    let spec = document["proposal"]["spec"].as_str().expect("a spec");
    assert!(spec.contains("nat_conflict: overlap") && spec.contains(":80\"") && spec.contains(":81\""), "{spec}");

    server.write_nft(REDIRECT);
    let (document, status, codes) = doctor(server);
    assert_eq!((status, codes), (1, vec!["FWC422".to_owned(), "FWC425".to_owned()]), "{document:#}");
    let barred = &document["proposal"]["barred"];
    assert_eq!((barred.as_array().map(Vec::len), &barred[0]["who"]), (Some(1), &"tcp 80 (nginx)".into()));
    let rules = barred[0]["rules"].as_array().expect("rules");
    assert!(rules.len() == 1 && rules[0].as_str().is_some_and(|rule| rule.contains("redirect")), "{rules:?}");
    let spec = document["proposal"]["spec"].as_str().expect("a spec");
    assert!(!spec.contains(":80\"") && spec.contains(":81\""), "{spec}");
    // apply has the same opinion of these rules.
    let ran = try_apply(server, &Spec::new(spec), &[]);
    assert_eq!(ran.status, 0, "{ran}");
    assert_eq!(server.conntrack_count(), 50);
}
