//! The only module with `unsafe`: thin, safe doors to C libraries and system calls that no crate offers.
#![allow(unsafe_code)]

pub mod expression;
pub mod packet_socket;
pub mod socket_option;
