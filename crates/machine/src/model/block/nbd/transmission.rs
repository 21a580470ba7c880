//! Requests of a client to the export that it chose.

use std::io;

use nix::errno::Errno;

use super::super::bytes::ExtentKind;
use super::super::exports::Export;
use super::super::graph::Blocks;
use super::wire::{
    be16, be32, be64, chunk, request, MAX_DATA, REQUEST_MAGIC, SIMPLE_MAGIC, STRUCTURED_MAGIC,
};
use super::{Context, Session};

/// Length of the head of a request.
const HEAD: usize = 28;
/// Most extents that one answer has.
const MOST_EXTENTS: usize = 4096;

struct Request {
    flags: u16,
    kind: u16,
    cookie: u64,
    offset: u64,
    length: u32,
}

impl Session {
    pub(super) fn take_request(&mut self, blocks: &mut Blocks) -> bool {
        if self.input.len() < HEAD {
            return false;
        }
        let head = &self.input[..HEAD];
        let request = Request {
            flags: be16(head, 4),
            kind: be16(head, 6),
            cookie: be64(head, 8),
            offset: be64(head, 16),
            length: be32(head, 24),
        };
        if be32(head, 0) != REQUEST_MAGIC {
            return self.end();
        }
        let data = if request.kind == request::WRITE {
            request.length
        } else {
            0
        };
        if data > MAX_DATA {
            return self.end();
        }
        let Some(bytes) = self.take_input(HEAD + data as usize) else {
            return false;
        };
        if request.kind == request::DISCONNECT {
            return self.end();
        }
        let export = self.export.as_deref().and_then(|id| blocks.exports.get(id));
        let Some(export) = export.cloned() else {
            return self.end();
        };
        match self.serve(blocks, &export, &request, &bytes[HEAD..]) {
            Ok(()) => {}
            Err(e) => self.fail(&request, &e),
        }
        true
    }

    fn serve(
        &mut self,
        blocks: &mut Blocks,
        export: &Export,
        request: &Request,
        data: &[u8],
    ) -> io::Result<()> {
        let node = &export.node;
        let (offset, length) = (request.offset, u64::from(request.length));
        let end = offset.checked_add(length);
        let is_there = end.is_some_and(|end| end <= blocks.length(node));
        let writes = matches!(
            request.kind,
            request::WRITE | request::TRIM | request::WRITE_ZEROES
        );
        if writes && !export.writable {
            return Err(Errno::EPERM.into());
        }
        if request.kind != request::FLUSH && !is_there {
            return Err(if request.kind == request::WRITE {
                Errno::ENOSPC.into()
            } else {
                Errno::EINVAL.into()
            });
        }
        match request.kind {
            request::READ => return self.read(blocks, node, request),
            request::BLOCK_STATUS => return self.status(blocks, node, request),
            request::WRITE => blocks.write(node, offset, data)?,
            request::TRIM => blocks.discard(node, offset, length)?,
            request::WRITE_ZEROES => blocks.write_zeroes(node, offset, length)?,
            request::FLUSH => blocks.flush(node)?,
            request::CACHE => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        if request.flags & request::FUA != 0 {
            blocks.flush(node)?;
        }
        self.done(request);
        Ok(())
    }

    /// The head of a simple answer.
    fn simple(&mut self, request: &Request, error: u32) {
        self.output.extend_from_slice(&SIMPLE_MAGIC.to_be_bytes());
        self.output.extend_from_slice(&error.to_be_bytes());
        self.output.extend_from_slice(&request.cookie.to_be_bytes());
    }

    /// The head of a part of a structured answer.
    fn chunk(&mut self, request: &Request, flags: u16, kind: u16, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.output
            .extend_from_slice(&STRUCTURED_MAGIC.to_be_bytes());
        self.output.extend_from_slice(&flags.to_be_bytes());
        self.output.extend_from_slice(&kind.to_be_bytes());
        self.output.extend_from_slice(&request.cookie.to_be_bytes());
        self.output.extend_from_slice(&length.to_be_bytes());
    }

    fn done(&mut self, request: &Request) {
        if self.structured {
            self.chunk(request, chunk::DONE, chunk::NONE, 0);
        } else {
            self.simple(request, 0);
        }
    }

    fn fail(&mut self, request: &Request, error: &io::Error) {
        let number = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM | Errno::EACCES | Errno::EROFS) => 1,
            Some(Errno::ENOMEM) => 12,
            Some(Errno::EINVAL) => 22,
            Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => 28,
            Some(Errno::ENOTSUP) => 95,
            _ => 5_u32,
        };
        if !self.structured {
            return self.simple(request, number);
        }
        self.chunk(request, chunk::DONE, chunk::ERROR, 6);
        self.output.extend_from_slice(&number.to_be_bytes());
        self.output.extend_from_slice(&[0, 0]);
    }

    fn read(&mut self, blocks: &mut Blocks, node: &str, request: &Request) -> io::Result<()> {
        if request.length > MAX_DATA {
            return Err(Errno::EINVAL.into());
        }
        let length = request.length as usize;
        if !self.structured {
            let mut bytes = vec![0; length];
            blocks.read(node, request.offset, &mut bytes)?;
            self.simple(request, 0);
            self.output.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut at = request.offset;
        let end = at + u64::from(request.length);
        // Holes travel as holes.
        while at < end {
            let extent = blocks.status_in_all(node, at, end - at)?;
            let offset = at.to_be_bytes();
            let last = if at + extent.length == end {
                chunk::DONE
            } else {
                0
            };
            let size = usize::try_from(extent.length).unwrap_or(0);
            if extent.kind == ExtentKind::Zero {
                self.chunk(request, last, chunk::OFFSET_HOLE, 12);
                self.output.extend_from_slice(&offset);
                let size = u32::try_from(size).unwrap_or(0);
                self.output.extend_from_slice(&size.to_be_bytes());
            } else {
                let mut bytes = vec![0; size];
                blocks.read(node, at, &mut bytes)?;
                self.chunk(request, last, chunk::OFFSET_DATA, 8 + size);
                self.output.extend_from_slice(&offset);
                self.output.extend_from_slice(&bytes);
            }
            at += extent.length;
        }
        Ok(())
    }

    fn status(&mut self, blocks: &mut Blocks, node: &str, request: &Request) -> io::Result<()> {
        if self.contexts.is_empty() || !self.structured || request.length == 0 {
            return Err(Errno::EINVAL.into());
        }
        let one = request.flags & request::REQ_ONE != 0;
        let contexts = self.contexts.clone();
        let mut answers = Vec::new();
        for context in &contexts {
            answers.push(extents(blocks, node, context, request, one)?);
        }
        let count = answers.len();
        for (number, extents) in answers.into_iter().enumerate() {
            let last = if number + 1 == count { chunk::DONE } else { 0 };
            self.chunk(request, last, chunk::BLOCK_STATUS, 4 + extents.len() * 8);
            let number = u32::try_from(number).unwrap_or(0);
            self.output.extend_from_slice(&number.to_be_bytes());
            for (length, flags) in extents {
                self.output.extend_from_slice(&length.to_be_bytes());
                self.output.extend_from_slice(&flags.to_be_bytes());
            }
        }
        Ok(())
    }
}

/// Pieces with what a context says of them.
fn extents(
    blocks: &mut Blocks,
    node: &str,
    context: &Context,
    request: &Request,
    one: bool,
) -> io::Result<Vec<(u32, u32)>> {
    let mut list: Vec<(u32, u32)> = Vec::new();
    let mut at = request.offset;
    let end = at + u64::from(request.length);
    while at < end && list.len() < MOST_EXTENTS {
        let (length, flags) = extent(blocks, node, context, at, end - at)?;
        at += length;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match list.last_mut() {
            Some(last) if last.1 == flags => last.0 += length,
            Some(_) if one => break,
            _ => list.push((length, flags)),
        }
    }
    Ok(list)
}

fn extent(
    blocks: &mut Blocks,
    node: &str,
    context: &Context,
    at: u64,
    length: u64,
) -> io::Result<(u64, u32)> {
    match context {
        Context::Allocation => {
            let extent = blocks.status_in_all(node, at, length)?;
            // A hole that reads as zeros.
            let flags = if extent.kind == ExtentKind::Data {
                0
            } else {
                3
            };
            Ok((extent.length, flags))
        }
        Context::Depth => {
            let extent = blocks.status(node, at, length)?;
            let depth = match extent.kind {
                ExtentKind::Unallocated => 2,
                _ => 1,
            };
            Ok((extent.length, depth))
        }
        Context::Bitmap(name) => {
            let bitmap = blocks.bitmap_in_chain(node, name);
            let set = &bitmap.ok_or(Errno::EINVAL)?.set;
            let is_dirty = set.contains(at);
            let granularity = u64::from(set.granularity());
            let next = if is_dirty {
                (at / granularity + 1) * granularity
            } else {
                set.next(at, 1).map_or(u64::MAX, |(start, _)| start)
            };
            Ok((length.min(next - at), u32::from(is_dirty)))
        }
    }
}
