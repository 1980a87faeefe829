//! Numbers of the nf_tables interface (`linux/netfilter/nf_tables.h`, `nfnetlink.h`).

/// The subsystem's number in the high byte of a message type.
pub const SUBSYSTEM: u16 = 10 << 8;

/// Message types.
pub mod message {
    use super::SUBSYSTEM;
    /// `NFT_MSG_NEWTABLE`.
    pub const NEW_TABLE: u16 = SUBSYSTEM;
    /// `NFT_MSG_GETTABLE`.
    pub const GET_TABLE: u16 = SUBSYSTEM | 1;
    /// `NFT_MSG_DELTABLE`.
    pub const DELETE_TABLE: u16 = SUBSYSTEM | 2;
    /// `NFT_MSG_NEWCHAIN`.
    pub const NEW_CHAIN: u16 = SUBSYSTEM | 3;
    /// `NFT_MSG_GETCHAIN`.
    pub const GET_CHAIN: u16 = SUBSYSTEM | 4;
    /// `NFT_MSG_DELCHAIN`.
    pub const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
    /// `NFT_MSG_NEWRULE`.
    pub const NEW_RULE: u16 = SUBSYSTEM | 6;
    /// `NFT_MSG_GETRULE`.
    pub const GET_RULE: u16 = SUBSYSTEM | 7;
    /// `NFT_MSG_DELRULE`.
    pub const DELETE_RULE: u16 = SUBSYSTEM | 8;
    /// `NFT_MSG_NEWSET`.
    pub const NEW_SET: u16 = SUBSYSTEM | 9;
    /// `NFT_MSG_GETSET`.
    pub const GET_SET: u16 = SUBSYSTEM | 10;
    /// `NFT_MSG_DELSET`.
    pub const DELETE_SET: u16 = SUBSYSTEM | 11;
    /// `NFT_MSG_NEWSETELEM`.
    pub const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
    /// `NFT_MSG_GETSETELEM`.
    pub const GET_ELEMENTS: u16 = SUBSYSTEM | 13;
    /// `NFT_MSG_DELSETELEM`.
    pub const DELETE_ELEMENTS: u16 = SUBSYSTEM | 14;
    /// `NFT_MSG_GETOBJ`.
    pub const GET_OBJECT: u16 = SUBSYSTEM | 19;
    /// `NFT_MSG_GETFLOWTABLE`.
    pub const GET_FLOWTABLE: u16 = SUBSYSTEM | 23;
    /// `NFT_MSG_GETGEN`.
    pub const GET_GENERATION: u16 = SUBSYSTEM | 16;
    /// `NFNL_MSG_BATCH_BEGIN`.
    pub const BATCH_BEGIN: u16 = 16;
    /// `NFNL_MSG_BATCH_END`.
    pub const BATCH_END: u16 = 17;
}

/// Attributes of a batch.
pub mod batch {
    /// `NFNL_BATCH_GENID`.
    pub const GENERATION: u16 = 1;
}

/// Attributes of a generation.
pub mod generation {
    /// `NFTA_GEN_ID`.
    pub const ID: u16 = 1;
}

/// Attributes of a table.
pub mod table {
    /// `NFTA_TABLE_NAME`.
    pub const NAME: u16 = 1;
    /// `NFTA_TABLE_FLAGS`.
    pub const FLAGS: u16 = 2;
    /// `NFTA_TABLE_USERDATA`.
    pub const USER_DATA: u16 = 6;
}

/// Attributes of a chain.
pub mod chain {
    /// `NFTA_CHAIN_TABLE`.
    pub const TABLE: u16 = 1;
    /// `NFTA_CHAIN_NAME`.
    pub const NAME: u16 = 3;
    /// `NFTA_CHAIN_HOOK`.
    pub const HOOK: u16 = 4;
    /// `NFTA_HOOK_HOOKNUM`, inside the hook.
    pub const HOOK_NUMBER: u16 = 1;
    /// `NFTA_CHAIN_TYPE`.
    pub const TYPE: u16 = 7;
    /// `NFTA_CHAIN_USERDATA`.
    pub const USER_DATA: u16 = 12;
}

/// Attributes of a rule.
pub mod rule {
    /// `NFTA_RULE_TABLE`.
    pub const TABLE: u16 = 1;
    /// `NFTA_RULE_CHAIN`.
    pub const CHAIN: u16 = 2;
    /// `NFTA_RULE_HANDLE`.
    pub const HANDLE: u16 = 3;
    /// `NFTA_RULE_EXPRESSIONS`.
    pub const EXPRESSIONS: u16 = 4;
    /// `NFTA_RULE_POSITION`.
    pub const POSITION: u16 = 6;
    /// `NFTA_RULE_USERDATA`.
    pub const USER_DATA: u16 = 7;
}

/// Attributes of a set.
pub mod set {
    /// `NFTA_SET_TABLE`.
    pub const TABLE: u16 = 1;
    /// `NFTA_SET_NAME`.
    pub const NAME: u16 = 2;
    /// `NFTA_SET_FLAGS`.
    pub const FLAGS: u16 = 3;
    /// `NFTA_SET_KEY_LEN`.
    pub const KEY_LENGTH: u16 = 5;
    /// `NFTA_SET_DESC`.
    pub const DESCRIPTION: u16 = 9;
    /// `NFTA_SET_ID`.
    pub const ID: u16 = 10;
    /// `NFTA_SET_EXPR`.
    pub const EXPRESSION: u16 = 17;
    /// `NFTA_SET_EXPRESSIONS`.
    pub const EXPRESSIONS: u16 = 18;
    /// `NFTA_SET_COUNT`.
    pub const COUNT: u16 = 20;
}

/// Attributes of a set's description.
pub mod description {
    /// `NFTA_SET_DESC_SIZE`.
    pub const SIZE: u16 = 1;
}

/// Attributes of a message about elements.
pub mod elements {
    /// `NFTA_SET_ELEM_LIST_TABLE`.
    pub const TABLE: u16 = 1;
    /// `NFTA_SET_ELEM_LIST_SET`.
    pub const SET: u16 = 2;
    /// `NFTA_SET_ELEM_LIST_ELEMENTS`.
    pub const ELEMENTS: u16 = 3;
    /// `NFTA_SET_ELEM_LIST_SET_ID`.
    pub const SET_ID: u16 = 4;
}

/// Attributes of an element.
pub mod element {
    /// `NFTA_SET_ELEM_KEY`.
    pub const KEY: u16 = 1;
    /// `NFTA_SET_ELEM_FLAGS`.
    pub const FLAGS: u16 = 3;
    /// `NFTA_SET_ELEM_USERDATA`.
    pub const USER_DATA: u16 = 6;
    /// `NFTA_SET_ELEM_EXPR`.
    pub const EXPRESSION: u16 = 7;
    /// `NFTA_SET_ELEM_KEY_END`.
    pub const KEY_END: u16 = 10;
    /// `NFTA_SET_ELEM_EXPRESSIONS`.
    pub const EXPRESSIONS: u16 = 11;
    /// `NFT_SET_ELEM_INTERVAL_END`, a flag.
    pub const INTERVAL_END: u64 = 1;
}

/// Attributes of data.
pub mod data {
    /// `NFTA_DATA_VALUE`.
    pub const VALUE: u16 = 1;
}

/// Flags of a set.
pub mod set_flag {
    /// `NFT_SET_ANONYMOUS`.
    pub const ANONYMOUS: u64 = 1;
    /// `NFT_SET_INTERVAL`.
    pub const INTERVAL: u64 = 4;
    /// `NFT_SET_TIMEOUT`.
    pub const TIMEOUT: u64 = 0x10;
    /// `NFT_SET_EVAL`: rules add elements.
    pub const EVALUATED: u64 = 0x20;
    /// `NFT_SET_CONCAT`.
    pub const CONCATENATED: u64 = 0x80;
}

/// Attributes of an expression.
pub mod expression {
    /// `NFTA_EXPR_NAME`.
    pub const NAME: u16 = 1;
    /// `NFTA_EXPR_DATA`.
    pub const DATA: u16 = 2;
}

/// Attributes of the counter expression.
pub mod counter {
    /// `NFTA_COUNTER_BYTES`.
    pub const BYTES: u16 = 1;
    /// `NFTA_COUNTER_PACKETS`.
    pub const PACKETS: u16 = 2;
}

/// The table that fwc owns.
pub const TABLE: &str = "fwc";
/// Its family: `NFPROTO_INET`.
pub const INET: u8 = 1;

/// User data of tables, chains, rules and elements: the type of a comment (`NFTNL_UDATA_*_COMMENT`).
pub const COMMENT: u8 = 0;
/// User data of sets: the type of a comment (`NFTNL_UDATA_SET_COMMENT`).
pub const SET_COMMENT: u8 = 7;
