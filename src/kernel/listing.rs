//! Whole tables as the kernel lists them: the messages as they come, for a reader that makes rules of them.

use nix::errno::Errno;

use super::KernelError;
use super::nf_tables::{self, INET, chain, elements, message, rule, set, table};
use super::socket::Socket;
use super::wire::{Fields, HEADER, Malformed, Message, Request};

/// How often the tables are read again when the ruleset changes meanwhile.
const TRIES: usize = 20;

const ASKED: &str = "list the ruleset";

fn malformed(why: Malformed) -> KernelError {
    KernelError::Malformed { asked: ASKED, why }
}

/// The messages that list the table `inet fwc`, at one generation. Empty where it is not there.
///
/// # Errors
/// It cannot be read, or the ruleset changes all the time.
pub fn own_table(socket: &mut Socket) -> Result<Vec<u8>, KernelError> {
    read(socket, Whose::Own)
}

/// The messages that list all tables of all families, fwc's too, at one generation.
///
/// # Errors
/// They cannot be read, or the ruleset changes all the time.
pub fn all_tables(socket: &mut Socket) -> Result<Vec<u8>, KernelError> {
    read(socket, Whose::All)
}

/// The messages that list all tables of all families but the table `inet fwc`, which may be large, at one generation.
///
/// # Errors
/// They cannot be read, or the ruleset changes all the time.
pub fn other_tables(socket: &mut Socket) -> Result<Vec<u8>, KernelError> {
    read(socket, Whose::Others)
}

/// Which tables are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Others,
    All,
}

fn read(socket: &mut Socket, whose: Whose) -> Result<Vec<u8>, KernelError> {
    for _ in 0..TRIES {
        let before = socket.generation()?;
        match read_once(socket, whose) {
            Ok(bytes) if socket.generation()? == before => return Ok(bytes),
            // Something vanished between two listings.
            Ok(_) | Err(KernelError::Refused { errno: Errno::ENOENT, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(KernelError::Unsettled { asked: ASKED })
}

fn read_once(socket: &mut Socket, whose: Whose) -> Result<Vec<u8>, KernelError> {
    let family = if whose == Whose::Own { INET } else { 0 };
    let mut bytes = list(socket, &Request::netfilter(message::GET_TABLE, 0, family), table::NAME, whose)?;
    if bytes.is_empty() {
        return Ok(bytes);
    }
    bytes.extend(list(socket, &Request::netfilter(message::GET_CHAIN, 0, family), chain::TABLE, whose)?);
    let sets = list(socket, &Request::netfilter(message::GET_SET, 0, family), set::TABLE, whose)?;
    bytes.extend_from_slice(&sets);
    for found in super::wire::messages(&sets) {
        let found = found.map_err(malformed)?;
        let fields = Fields::of(found.attributes()).map_err(malformed)?;
        let request = Request::netfilter(message::GET_ELEMENTS, 0, found.family())
            .with_text(elements::TABLE, &fields.text(set::TABLE).map_err(malformed)?)
            .with_text(elements::SET, &fields.text(set::NAME).map_err(malformed)?);
        bytes.extend(list(socket, &request, elements::TABLE, Whose::All)?);
    }
    bytes.extend(list(socket, &Request::netfilter(message::GET_RULE, 0, family), rule::TABLE, whose)?);
    Ok(bytes)
}

/// The messages of one listing that belong to the tables that are wanted.
fn list(socket: &mut Socket, request: &Request, table: u16, whose: Whose) -> Result<Vec<u8>, KernelError> {
    socket.dump(ASKED, request, Vec::new, |bytes, found| {
        let wanted = match whose {
            Whose::All => true,
            Whose::Own | Whose::Others => {
                let fields = Fields::of(found.attributes()).map_err(malformed)?;
                let is_own = found.family() == INET && fields.text(table).map_err(malformed)? == nf_tables::TABLE;
                is_own == (whose == Whose::Own)
            }
        };
        if wanted {
            append(bytes, found);
        }
        Ok(())
    })
}

fn append(bytes: &mut Vec<u8>, found: &Message<'_>) {
    let length = u32::try_from(HEADER + found.payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&found.kind.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(found.payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
