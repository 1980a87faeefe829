//! Netlink messages, written attribute by attribute.

/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// `NFNL_SUBSYS_NFTABLES`
const NF_TABLES: u16 = 10;
/// `NFPROTO_INET`
const INET: u8 = 1;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;

/// Appends messages and attributes to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

/// What has been opened and must be closed: where its length stands.
#[must_use]
pub(super) struct Open(usize);

impl Writer {
    /// Starts an nf_tables message about the inet family; `kind` is one of `NFT_MSG_*`.
    pub(super) fn message(&mut self, kind: u16, flags: u16) -> Open {
        let open = Open(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&(NF_TABLES << 8 | kind).to_ne_bytes());
        self.bytes.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        // Sequence number and port id: the transaction's.
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(&[INET, 0, 0, 0]);
        open
    }

    /// Ends a message.
    pub(super) fn end_message(&mut self, open: Open) {
        let length = u32::try_from(self.bytes.len() - open.0).unwrap_or(u32::MAX);
        self.patch(open.0, &length.to_ne_bytes());
    }

    /// Starts a nested attribute.
    pub(super) fn nested(&mut self, kind: u16) -> Open {
        let open = Open(self.bytes.len());
        self.header(kind | NESTED, 0);
        open
    }

    /// Ends a nested attribute. Its length is 16 bits: the caller keeps it below 64 KiB.
    pub(super) fn end_nested(&mut self, open: Open) {
        let length = u16::try_from(self.bytes.len() - open.0).unwrap_or(u16::MAX);
        self.patch(open.0, &length.to_ne_bytes());
    }

    /// Bytes written since something was opened, its header included.
    pub(super) fn since(&self, open: &Open) -> usize {
        self.bytes.len() - open.0
    }

    /// Appends an attribute of a few bytes.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.header(kind, value.len());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    fn header(&mut self, kind: u16, length: usize) {
        let [a, b] = u16::try_from(length + 4).unwrap_or(u16::MAX).to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        self.bytes.extend_from_slice(&[a, b, c, d]);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Appends a string with its NUL.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.header(kind, value.len() + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    /// Appends a number in network order.
    pub(super) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Appends user data with one value: type, length, value, as nft reads it.
    pub(super) fn user_data(&mut self, kind: u16, class: u8, value: &[u8]) {
        let mut data = vec![class, u8::try_from(value.len()).unwrap_or(u8::MAX)];
        data.extend(value.iter().take(usize::from(u8::MAX)));
        self.bytes(kind, &data);
    }

    /// Appends user data with a comment, which is given in parts and of at most 253 bytes.
    pub(super) fn comment<const N: usize>(&mut self, kind: u16, parts: [&str; N]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        self.header(kind, 2 + length);
        self.bytes.extend_from_slice(&[0, u8::try_from(length).unwrap_or(u8::MAX)]);
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.push(0);
        self.pad();
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(slot) = self.bytes.get_mut(at..at + value.len()) {
            slot.copy_from_slice(value);
        }
    }
}
