//! Numbers of the protocol.

pub(super) const MAGIC: u64 = 0x4e42_444d_4147_4943;
pub(super) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
pub(super) const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
pub(super) const REQUEST_MAGIC: u32 = 0x2560_9513;
pub(super) const SIMPLE_MAGIC: u32 = 0x6744_6698;
pub(super) const STRUCTURED_MAGIC: u32 = 0x668e_33ef;

/// Flags of the greeting: the new style, which is fixed, and no padding.
pub(super) const FIXED_NEWSTYLE: u16 = 1;
pub(super) const NO_ZEROES: u16 = 2;

/// Options.
pub(super) mod option {
    pub(in super::super) const EXPORT_NAME: u32 = 1;
    pub(in super::super) const ABORT: u32 = 2;
    pub(in super::super) const LIST: u32 = 3;
    pub(in super::super) const INFO: u32 = 6;
    pub(in super::super) const GO: u32 = 7;
    pub(in super::super) const STRUCTURED_REPLY: u32 = 8;
    pub(in super::super) const LIST_META_CONTEXT: u32 = 9;
    pub(in super::super) const SET_META_CONTEXT: u32 = 10;
}

/// Answers to options.
pub(super) mod reply {
    pub(in super::super) const ACK: u32 = 1;
    pub(in super::super) const SERVER: u32 = 2;
    pub(in super::super) const INFO: u32 = 3;
    pub(in super::super) const META_CONTEXT: u32 = 4;
    pub(in super::super) const ERR_UNSUP: u32 = 0x8000_0001;
    pub(in super::super) const ERR_INVALID: u32 = 0x8000_0003;
    pub(in super::super) const ERR_UNKNOWN: u32 = 0x8000_0006;
}

/// What an export is told to be.
pub(super) mod info {
    pub(in super::super) const EXPORT: u16 = 0;
    pub(in super::super) const NAME: u16 = 1;
    pub(in super::super) const DESCRIPTION: u16 = 2;
    pub(in super::super) const BLOCK_SIZE: u16 = 3;
}

/// What an export can do.
pub(super) mod can {
    pub(in super::super) const HAS_FLAGS: u16 = 1;
    pub(in super::super) const READ_ONLY: u16 = 2;
    pub(in super::super) const FLUSH: u16 = 4;
    pub(in super::super) const FUA: u16 = 8;
    pub(in super::super) const TRIM: u16 = 32;
    pub(in super::super) const WRITE_ZEROES: u16 = 64;
    pub(in super::super) const DF: u16 = 128;
    pub(in super::super) const MULTI_CONN: u16 = 256;
    pub(in super::super) const CACHE: u16 = 1024;
    pub(in super::super) const FAST_ZERO: u16 = 2048;
}

/// Requests.
pub(super) mod request {
    pub(in super::super) const READ: u16 = 0;
    pub(in super::super) const WRITE: u16 = 1;
    pub(in super::super) const DISCONNECT: u16 = 2;
    pub(in super::super) const FLUSH: u16 = 3;
    pub(in super::super) const TRIM: u16 = 4;
    pub(in super::super) const CACHE: u16 = 5;
    pub(in super::super) const WRITE_ZEROES: u16 = 6;
    pub(in super::super) const BLOCK_STATUS: u16 = 7;
    /// Flags: make it safe; one extent only.
    pub(in super::super) const FUA: u16 = 1;
    pub(in super::super) const REQ_ONE: u16 = 8;
}

/// Kinds of structured replies, and their flag of the last one.
pub(super) mod chunk {
    pub(in super::super) const DONE: u16 = 1;
    pub(in super::super) const NONE: u16 = 0;
    pub(in super::super) const OFFSET_DATA: u16 = 1;
    pub(in super::super) const OFFSET_HOLE: u16 = 2;
    pub(in super::super) const BLOCK_STATUS: u16 = 5;
    pub(in super::super) const ERROR: u16 = 0x8001;
}

/// The longest data of an option or a request.
pub(super) const MAX_OPTION: u32 = 65536;
pub(super) const MAX_DATA: u32 = 32 << 20;

pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    let part = bytes.get(at..at + 2).unwrap_or(&[0; 2]);
    part.iter().fold(0, |n, byte| n << 8 | u16::from(*byte))
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..at + 4).unwrap_or(&[0; 4]);
    part.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
}

pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.get(at..at + 8).unwrap_or(&[0; 8]);
    part.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}
