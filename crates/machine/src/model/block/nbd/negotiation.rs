//! The beginning of a session: the client chooses an export, and what it may ask of it.

use super::super::exports::Export;
use super::super::graph::Blocks;
use super::wire::{
    be16, be32, be64, can, info, option, reply, FIXED_NEWSTYLE, MAGIC, MAX_DATA, MAX_OPTION,
    NO_ZEROES, OPTION_MAGIC, REPLY_MAGIC,
};
use super::{Context, Phase, Session};

/// Length of the head of an option: magic, option, length.
const HEAD: usize = 16;

impl Session {
    pub(super) fn greet(&mut self) {
        self.output.extend_from_slice(&MAGIC.to_be_bytes());
        self.output.extend_from_slice(&OPTION_MAGIC.to_be_bytes());
        let flags = FIXED_NEWSTYLE | NO_ZEROES;
        self.output.extend_from_slice(&flags.to_be_bytes());
    }

    pub(super) fn take_flags(&mut self) -> bool {
        let Some(bytes) = self.take_input(4) else {
            return false;
        };
        let flags = be32(&bytes, 0);
        let known = u32::from(FIXED_NEWSTYLE | NO_ZEROES);
        if flags & u32::from(FIXED_NEWSTYLE) == 0 || flags & !known != 0 {
            return self.end();
        }
        self.no_zeroes = flags & u32::from(NO_ZEROES) != 0;
        self.phase = Phase::Options;
        true
    }

    pub(super) fn take_option(&mut self, blocks: &mut Blocks) -> bool {
        if self.input.len() < HEAD {
            return false;
        }
        let (kind, length) = (be32(&self.input, 8), be32(&self.input, 12));
        if be64(&self.input, 0) != OPTION_MAGIC || length > MAX_OPTION {
            return self.end();
        }
        let Some(bytes) = self.take_input(HEAD + length as usize) else {
            return false;
        };
        let data = &bytes[HEAD..];
        match kind {
            option::EXPORT_NAME => return self.choose_by_name(blocks, data),
            option::ABORT => {
                self.answer(kind, reply::ACK, &[]);
                return self.end();
            }
            option::LIST => self.list(blocks, data),
            option::INFO | option::GO => self.choose(blocks, kind, data),
            option::STRUCTURED_REPLY if data.is_empty() => {
                self.structured = true;
                self.answer(kind, reply::ACK, &[]);
            }
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => {
                self.meta_contexts(blocks, kind, data);
            }
            option::STRUCTURED_REPLY => self.refuse(kind, reply::ERR_INVALID, "no data expected"),
            _ => self.refuse(kind, reply::ERR_UNSUP, "Unsupported option"),
        }
        true
    }

    fn answer(&mut self, option: u32, kind: u32, data: &[u8]) {
        self.output.extend_from_slice(&REPLY_MAGIC.to_be_bytes());
        self.output.extend_from_slice(&option.to_be_bytes());
        self.output.extend_from_slice(&kind.to_be_bytes());
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(data);
    }

    fn refuse(&mut self, option: u32, kind: u32, text: &str) {
        self.answer(option, kind, text.as_bytes());
    }

    fn list(&mut self, blocks: &Blocks, data: &[u8]) {
        if !data.is_empty() {
            return self.refuse(option::LIST, reply::ERR_INVALID, "no data expected");
        }
        for export in blocks.exports.iter() {
            let length = u32::try_from(export.name.len()).unwrap_or(0);
            let mut item = length.to_be_bytes().to_vec();
            item.extend_from_slice(export.name.as_bytes());
            if let Some(description) = &export.description {
                item.extend_from_slice(description.as_bytes());
            }
            self.answer(option::LIST, reply::SERVER, &item);
        }
        self.answer(option::LIST, reply::ACK, &[]);
    }

    /// What the export can do.
    fn flags(&self, export: &Export) -> u16 {
        let mut flags = can::HAS_FLAGS | can::FLUSH | can::FUA | can::CACHE | can::MULTI_CONN;
        flags |= if export.writable {
            can::TRIM | can::WRITE_ZEROES | can::FAST_ZERO
        } else {
            can::READ_ONLY
        };
        if self.structured {
            flags |= can::DF;
        }
        flags
    }

    /// The old way to choose an export, which cannot be refused but by hanging up.
    fn choose_by_name(&mut self, blocks: &Blocks, data: &[u8]) -> bool {
        let name = String::from_utf8_lossy(data);
        let Some(export) = blocks.exports.named(&name) else {
            return self.end();
        };
        let (size, flags) = (blocks.length(&export.node), self.flags(export));
        self.output.extend_from_slice(&size.to_be_bytes());
        self.output.extend_from_slice(&flags.to_be_bytes());
        if !self.no_zeroes {
            self.output.extend_from_slice(&[0; 124]);
        }
        self.export = Some(export.id.clone());
        self.phase = Phase::Transmission;
        true
    }

    fn choose(&mut self, blocks: &Blocks, kind: u32, data: &[u8]) {
        let length = be32(data, 0) as usize;
        let Some(name) = data.get(4..).and_then(|rest| rest.get(..length)) else {
            return self.refuse(kind, reply::ERR_INVALID, "name length is incorrect");
        };
        let wishes = data.get(4 + length..).unwrap_or(&[]);
        let count = usize::from(be16(wishes, 0));
        if wishes.len() != 2 + 2 * count {
            return self.refuse(kind, reply::ERR_INVALID, "incorrect number of requests");
        }
        let wanted: Vec<u16> = (0..count).map(|n| be16(wishes, 2 + 2 * n)).collect();
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(export) = blocks.exports.named(&name) else {
            let text = format!("export '{name}' not present");
            return self.refuse(kind, reply::ERR_UNKNOWN, &text);
        };
        self.tell_export(blocks, kind, export, &wanted);
        self.answer(kind, reply::ACK, &[]);
        if kind == option::GO {
            self.export = Some(export.id.clone());
            self.phase = Phase::Transmission;
        }
    }

    fn tell_export(&mut self, blocks: &Blocks, kind: u32, export: &Export, wanted: &[u16]) {
        let mut tell = |what: u16, data: &[u8]| {
            let item = [&what.to_be_bytes(), data].concat();
            self.answer(kind, reply::INFO, &item);
        };
        if wanted.contains(&info::NAME) {
            tell(info::NAME, export.name.as_bytes());
        }
        if let Some(description) = &export.description {
            if wanted.contains(&info::DESCRIPTION) {
                tell(info::DESCRIPTION, description.as_bytes());
            }
        }
        let sizes = [1_u32, 4096, MAX_DATA].map(u32::to_be_bytes).concat();
        tell(info::BLOCK_SIZE, &sizes);
        let size = blocks.length(&export.node);
        let flags = self.flags(export);
        let item = [&size.to_be_bytes()[..], &flags.to_be_bytes()].concat();
        let item = [&info::EXPORT.to_be_bytes()[..], &item].concat();
        self.answer(kind, reply::INFO, &item);
    }

    /// Lists or chooses what bytes may be asked the status of.
    fn meta_contexts(&mut self, blocks: &Blocks, kind: u32, data: &[u8]) {
        let Some((name, queries)) = read_queries(data) else {
            return self.refuse(kind, reply::ERR_INVALID, "the queries are cut off");
        };
        if !self.structured {
            let text = "request option without structured replies";
            return self.refuse(kind, reply::ERR_INVALID, text);
        }
        let Some(export) = blocks.exports.named(&name) else {
            let text = format!("export '{name}' not present");
            return self.refuse(kind, reply::ERR_UNKNOWN, &text);
        };
        let lists = kind == option::LIST_META_CONTEXT;
        let is_asked = |context: &Context| {
            let name = context.name();
            let mut queries = queries.iter();
            // A list may be of a whole family.
            queries.any(|q| *q == name || lists && q.ends_with(':') && name.starts_with(q.as_str()))
                || lists && queries.len() == 0
        };
        let mut all = vec![Context::Allocation];
        if export.allocation_depth {
            all.push(Context::Depth);
        }
        all.extend(export.bitmaps.iter().cloned().map(Context::Bitmap));
        let found: Vec<Context> = all.into_iter().filter(is_asked).collect();
        for (number, context) in (0_u32..).zip(&found) {
            let number = if lists { 0 } else { number };
            let name = context.name();
            let item = [&number.to_be_bytes()[..], name.as_bytes()].concat();
            self.answer(kind, reply::META_CONTEXT, &item);
        }
        if !lists {
            self.contexts = found;
        }
        self.answer(kind, reply::ACK, &[]);
    }
}

/// The name of the export and the queries of an option.
fn read_queries(data: &[u8]) -> Option<(String, Vec<String>)> {
    let mut rest = data;
    let mut text = || {
        let length = be32(rest.get(..4)?, 0) as usize;
        let found = rest.get(4..4 + length)?;
        rest = rest.get(4 + length..)?;
        Some(String::from_utf8_lossy(found).into_owned())
    };
    let name = text()?;
    let count = be32(data.get(4 + name.len()..8 + name.len())?, 0);
    rest = data.get(8 + name.len()..)?;
    let mut text = || {
        let length = be32(rest.get(..4)?, 0) as usize;
        let found = rest.get(4..4 + length)?;
        rest = rest.get(4 + length..)?;
        Some(String::from_utf8_lossy(found).into_owned())
    };
    let queries: Option<Vec<String>> = (0..count).map(|_| text()).collect();
    Some((name, queries?))
}
