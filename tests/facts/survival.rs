//! Connections live through the switch to stateless and through every later load.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::forms::Form;
use crate::support::{Link, Namespace, TRACKING};

const SPEC: &str = r#"
services:
  web: {listen: "203.0.113.5:80", stateless: true}
  ssh: {listen: "*:22"}
"#;

const CHANGED: &str = r#"
services:
  web: {listen: ["203.0.113.5:80,443", "[2001:db8::5]:80"], stateless: true}
  ssh: {listen: "*:22"}
icmp: {ping: true}
"#;

/// More than all buffers on the way hold.
const DOWNLOAD: usize = 16 << 20;
/// The end of it is a failed test.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open connection: the client's end and the server's.
struct Talk {
    near: TcpStream,
    far: TcpStream,
}

impl Talk {
    fn start(link: &Link, to: &str) -> Talk {
        let listener = link.server.enter(|| TcpListener::bind(to)).expect("the server listens");
        let near = link.client.enter(|| TcpStream::connect(to)).expect("the client connects");
        let (far, _) = listener.accept().expect("the server accepts");
        for end in [&near, &far] {
            end.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        }
        SockRef::from(&near).set_recv_buffer_size(65_536).expect("a socket takes a buffer size");
        Talk { near, far }
    }

    /// Both ends hear each other.
    #[track_caller]
    fn goes_on(&self, when: &str) {
        for (mut from, mut to) in [(&self.near, &self.far), (&self.far, &self.near)] {
            from.write_all(b"!").unwrap_or_else(|error| panic!("{when}: {error}"));
            to.read_exact(&mut [0]).unwrap_or_else(|error| panic!("{when}: {error}"));
        }
    }
}

fn entries(server: &Namespace, port: &str) -> usize {
    server.conntrack_entries(&["-p", "tcp", "--dport", port]).len()
}

fn open_connections_survive_the_switch_and_later_loads(form: Form) {
    let link = Link::new("survive");
    link.server.write_nft(TRACKING);
    let web = Talk::start(&link, "203.0.113.5:80");
    let ssh = Talk::start(&link, "203.0.113.5:22");
    web.goes_on("before");
    ssh.goes_on("before");
    assert_eq!((entries(&link.server, "80"), entries(&link.server, "22")), (1, 1));
    for spec in [SPEC, SPEC, CHANGED] {
        form.load(&link.server, spec);
        web.goes_on(spec);
        ssh.goes_on(spec);
    }
    assert_eq!(entries(&link.server, "22"), 1);
    if form == Form::Netlink {
        assert_eq!(entries(&link.server, "80"), 0, "apply deletes what was tracked before");
    }
}

fn connections_older_than_tracking_survive(form: Form) {
    let link = Link::new("older");
    let web = Talk::start(&link, "203.0.113.5:80");
    let ssh = Talk::start(&link, "203.0.113.5:22");
    form.load(&link.server, SPEC);
    web.goes_on("with a stateless service");
    ssh.goes_on("with a tracked service");
    assert_eq!((entries(&link.server, "80"), entries(&link.server, "22")), (0, 1));
}

fn a_slow_download_survives_the_switch(form: Form) {
    let link = Link::new("download");
    link.server.write_nft(TRACKING);
    let Talk { mut near, mut far } = Talk::start(&link, "203.0.113.5:80");
    let sender = std::thread::spawn(move || far.write_all(&vec![b'.'; DOWNLOAD]).map(|()| drop(far)));
    let mut body = vec![0; 65_536];
    near.read_exact(&mut body).expect("the download begins");
    for spec in [SPEC, CHANGED] {
        form.load(&link.server, spec);
        let mut next = [0; 65_536];
        near.read_exact(&mut next).unwrap_or_else(|error| panic!("after a load: {error}"));
        body.extend(next);
    }
    near.read_to_end(&mut body).expect("the download ends");
    sender.join().expect("the sender ends").expect("all of it is sent");
    assert_eq!(body.len(), DOWNLOAD);
}

in_each_form!(
    open_connections_survive_the_switch_and_later_loads,
    connections_older_than_tracking_survive,
    a_slow_download_survives_the_switch,
);
