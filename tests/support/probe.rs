//! Connections from one namespace to another, and a server that tells whom it saw.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::namespace::Namespace;

/// How long a probe waits before it calls a packet lost. The kernel repeats a lost SYN after one second, so a slow
/// machine has a second try.
const PATIENCE: Duration = Duration::from_millis(2500);

/// No datagram has more bytes.
const LARGEST: usize = 65_536;

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Connected,
    /// A reset, or an ICMP port unreachable.
    Refused,
    /// No answer: somebody drops.
    TimedOut,
    /// An ICMP error other than port unreachable, or no route.
    Unreachable,
}

/// Parses `203.0.113.5:80` or `[2001:db8::5]:80`.
#[track_caller]
pub fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text} is no endpoint: {error}"))
}

/// Tries a TCP connection from a namespace.
pub fn tcp_connect(from: &Namespace, to: &str) -> Connection {
    dial(from, None, to).map_or_else(|ended| ended, |_| Connection::Connected)
}

/// The same from a source endpoint of the caller's choice; port 0 lets the kernel choose the port.
pub fn tcp_connect_from(from: &Namespace, source: &str, to: &str) -> Connection {
    dial(from, Some(source), to).map_or_else(|ended| ended, |_| Connection::Connected)
}

/// Connects to a [`Mirror`] and gives the source address that it saw, or how the attempt ended.
pub fn tcp_seen_as(from: &Namespace, to: &str) -> Result<SocketAddr, Connection> {
    let mut socket = dial(from, None, to)?;
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(|error| ending(&error))?;
    Ok(endpoint(&answer))
}

/// Sends a datagram to a [`Mirror`] and gives the source address that it saw; `None` when no answer came.
pub fn udp_seen_as(from: &Namespace, to: &str) -> Option<SocketAddr> {
    udp_seen_as_from(from, if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" }, to)
}

/// The same from a source endpoint of the caller's choice.
pub fn udp_seen_as_from(from: &Namespace, source: &str, to: &str) -> Option<SocketAddr> {
    let socket = from.enter(|| UdpSocket::bind(endpoint(source))).expect("the source can be bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    socket.connect(endpoint(to)).expect("the target has a route");
    let mut buffer = [0; 128];
    // A send may report the ICMP error of nothing yet; the answer decides.
    socket.send(b"?").ok()?;
    let length = socket.recv(&mut buffer).ok()?;
    Some(endpoint(&String::from_utf8_lossy(&buffer[..length])))
}

/// Whether a [`Mirror::echo`] gives a datagram of `length` bytes back, whole.
pub fn udp_echoes(from: &Namespace, to: &str, length: usize) -> bool {
    let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = from.enter(|| UdpSocket::bind(any)).expect("the source can be bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    socket.connect(endpoint(to)).expect("the target has a route");
    let sent: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
    let mut received = vec![0; LARGEST];
    // A filter of the sender's own answers with an error.
    socket.send(&sent).is_ok() && socket.recv(&mut received).is_ok_and(|length| received[..length] == sent)
}

fn dial(from: &Namespace, source: Option<&str>, to: &str) -> Result<Socket, Connection> {
    let to = endpoint(to);
    let socket = from.enter(|| Socket::new(Domain::for_address(to), Type::STREAM, None)).expect("a TCP socket");
    if let Some(source) = source {
        socket.set_reuse_address(true).expect("an address may be used again");
        socket.bind(&SockAddr::from(endpoint(source))).unwrap_or_else(|error| panic!("binding {source}: {error}"));
    }
    socket.connect_timeout(&SockAddr::from(to), PATIENCE).map_err(|error| ending(&error))?;
    Ok(socket)
}

fn ending(error: &std::io::Error) -> Connection {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Connection::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Connection::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::PermissionDenied => {
            Connection::Unreachable
        }
        _ => panic!("a connection ended in a way that no test expects: {error}"),
    }
}

/// A server that answers each connection or datagram with the source address it saw, as text.
///
/// So one probe shows that the way there and back is open, and what NAT made of the source.
pub struct Mirror {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    /// Listens on a TCP endpoint of a namespace.
    pub fn tcp(on: &Namespace, listen: &str) -> Mirror {
        let listener = on
            .enter(|| TcpListener::bind(endpoint(listen)))
            .unwrap_or_else(|error| panic!("listening on {listen}: {error}"));
        wake_up_often(SockRef::from(&listener));
        Mirror::run(move || {
            if let Ok((mut stream, source)) = listener.accept() {
                // A client that is gone again needs no answer.
                let _ = stream.write_all(source.to_string().as_bytes());
            }
        })
    }

    /// Listens on a UDP endpoint of a namespace.
    pub fn udp(on: &Namespace, listen: &str) -> Mirror {
        let socket = on
            .enter(|| UdpSocket::bind(endpoint(listen)))
            .unwrap_or_else(|error| panic!("listening on {listen}: {error}"));
        wake_up_often(SockRef::from(&socket));
        Mirror::run(move || {
            if let Ok((_, source)) = socket.recv_from(&mut [0; 128]) {
                // A filter in the way of the answer is what a test may be about.
                let _ = socket.send_to(source.to_string().as_bytes(), source);
            }
        })
    }

    /// Listens on a UDP endpoint of a namespace and gives each datagram back as it came, for [`udp_echoes`].
    pub fn echo(on: &Namespace, listen: &str) -> Mirror {
        let socket = on
            .enter(|| UdpSocket::bind(endpoint(listen)))
            .unwrap_or_else(|error| panic!("listening on {listen}: {error}"));
        wake_up_often(SockRef::from(&socket));
        let mut buffer = vec![0; LARGEST];
        Mirror::run(move || {
            if let Ok((length, source)) = socket.recv_from(&mut buffer) {
                // A filter in the way of the answer is what a test may be about.
                let _ = socket.send_to(&buffer[..length], source);
            }
        })
    }

    fn run(mut once: impl FnMut() + Send + 'static) -> Mirror {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                once();
            }
        });
        Mirror { stop, thread: Some(thread) }
    }
}

/// The server looks this often whether it should stop. The timeout holds for accept as for receive.
fn wake_up_often(socket: SockRef<'_>) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket takes a timeout");
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its own panic has been printed already.
            let _ = thread.join();
        }
    }
}
