//! Bytes of images of `qcow2`: what an image does not have is in the node below it.

use std::io;

use nix::errno::Errno;

use super::bytes::{Extent, ExtentKind};
use super::granules::Bitmap;
use super::graph::Blocks;
use super::io::{Change, NodeBytes};
use super::node::{Content, NodeId};
use super::qcow2::{Place, Qcow2};
use crate::schema::BlkdebugEvent;

impl Blocks {
    /// Works on an image and the file that it is in.
    pub(super) fn with_image<R>(
        &mut self,
        id: NodeId,
        work: impl FnOnce(&mut Qcow2, &mut NodeBytes<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let node = self.at(id)?;
        let file = node.file.ok_or(Errno::ENOENT)?;
        let mut content = std::mem::replace(&mut node.content, Content::Taken);
        let result = match &mut content {
            Content::Qcow2(image) => work(
                image,
                &mut NodeBytes {
                    blocks: self,
                    id: file,
                },
            ),
            _ => Err(Errno::EINVAL.into()),
        };
        self.at(id)?.content = content;
        result
    }

    pub(super) fn read_image(
        &mut self,
        id: NodeId,
        offset: u64,
        into: &mut [u8],
    ) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let left = (into.len() - done) as u64;
            let (place, run) = self.with_image(id, |q, file| q.place(file, at, left))?;
            let end = done + usize::try_from(run).unwrap_or(0);
            let part = &mut into[done..end];
            match place {
                Place::Data(host) => {
                    let file = self.at(id)?.file.ok_or(Errno::ENOENT)?;
                    self.happens(file, BlkdebugEvent::ReadAio);
                    self.read_at(file, host, part)?;
                }
                Place::Zero => part.fill(0),
                Place::Unallocated => self.read_below(id, at, part)?,
                Place::Compressed { offset, length } => self.with_image(id, |q, file| {
                    let in_cluster = at % q.header.cluster_size();
                    q.read_compressed(file, offset, length, in_cluster, part)
                })?,
            }
            done = end;
        }
        Ok(())
    }

    /// Reads from the node below; behind its end are zeros.
    fn read_below(&mut self, id: NodeId, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let own = self.length_of(id);
        let backing = self.at(id)?.backing;
        let length = backing.map_or(0, |below| self.length_of(below).min(own));
        let there = length.saturating_sub(offset).min(into.len() as u64);
        let (from, zeros) = into.split_at_mut(usize::try_from(there).unwrap_or(0));
        zeros.fill(0);
        match backing.filter(|_| !from.is_empty()) {
            Some(below) => self.read_at(below, offset, from),
            None => Ok(()),
        }
    }

    pub(super) fn change_image(
        &mut self,
        id: NodeId,
        offset: u64,
        change: Change<'_>,
    ) -> io::Result<()> {
        match change {
            Change::Write(from) => self.write_image(id, offset, from),
            Change::Zero(length) => self.zero_image(id, offset, length, true),
            Change::Discard(length) => self.zero_image(id, offset, length, false),
        }
    }

    fn write_image(&mut self, id: NodeId, offset: u64, from: &[u8]) -> io::Result<()> {
        let file = self.at(id)?.file.ok_or(Errno::ENOENT)?;
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let left = (from.len() - done) as u64;
            let own = self.with_image(id, |q, file| q.own_place(file, at, left))?;
            self.happens(file, BlkdebugEvent::WriteAio);
            let run = match own {
                Some((host, run)) => {
                    let end = done + usize::try_from(run).unwrap_or(0);
                    self.change(file, host, Change::Write(&from[done..end]))?;
                    run
                }
                None => self.write_new_clusters(id, at, &from[done..])?,
            };
            done += usize::try_from(run).unwrap_or(0);
        }
        Ok(())
    }

    /// Writes into clusters that the image does not have or shares, and returns how many
    /// bytes were written.
    fn write_new_clusters(&mut self, id: NodeId, at: u64, from: &[u8]) -> io::Result<u64> {
        let cluster = self.cluster_size(id)?;
        let head = at % cluster;
        let start = at - head;
        let wanted = (head + from.len() as u64).div_ceil(cluster);
        let (host, clusters) = self.with_image(id, |q, file| q.make_room(file, start, wanted))?;
        let written = (clusters * cluster - head).min(from.len() as u64);
        let filled = self.fill_clusters(id, start, host, clusters, head, &from[..to_len(written)]);
        let linked = filled
            .and_then(|()| self.with_image(id, |q, file| q.link(file, start, host, clusters)));
        if linked.is_err() {
            let _ = self.with_image(id, |q, file| {
                q.unmake_room(file, host, clusters);
                Ok(())
            });
        }
        linked.map(|()| written)
    }

    /// Writes new clusters: what the disk has there, with the new bytes in it.
    fn fill_clusters(
        &mut self,
        id: NodeId,
        start: u64,
        host: u64,
        clusters: u64,
        head: u64,
        from: &[u8],
    ) -> io::Result<()> {
        let file = self.at(id)?.file.ok_or(Errno::ENOENT)?;
        let length = to_len(clusters * self.cluster_size(id)?);
        if head == 0 && from.len() == length {
            return self.change(file, host, Change::Write(from));
        }
        let mut bytes = vec![0; length];
        let (head, tail) = (to_len(head), to_len(head) + from.len());
        self.read_image(id, start, &mut bytes[..head])?;
        self.read_image(id, start + tail as u64, &mut bytes[tail..])?;
        bytes[head..tail].copy_from_slice(from);
        self.change(file, host, Change::Write(&bytes))
    }

    fn cluster_size(&mut self, id: NodeId) -> io::Result<u64> {
        let image = self.at(id)?.qcow2().ok_or(Errno::EINVAL)?;
        Ok(image.header.cluster_size())
    }

    /// Makes a piece zero, or gives its whole clusters back.
    fn zero_image(
        &mut self,
        id: NodeId,
        offset: u64,
        length: u64,
        must_be_zeros: bool,
    ) -> io::Result<()> {
        let cluster = self.cluster_size(id)?;
        let size = self.length_of(id);
        let end = offset + length;
        let first = offset.div_ceil(cluster) * cluster;
        // The last cluster may be longer than the disk.
        let last = if end == size {
            end.div_ceil(cluster) * cluster
        } else {
            end / cluster * cluster
        };
        if last <= first {
            return if must_be_zeros {
                self.zero_part(id, offset, length)
            } else {
                Ok(())
            };
        }
        if must_be_zeros {
            self.zero_part(id, offset, first - offset)?;
            self.zero_part(id, last.min(end), end - last.min(end))?;
        }
        // Without a node below, what is not in the image is zeros.
        let as_zeros = self.at(id)?.backing.is_some();
        let clusters = (last - first) / cluster;
        let dropped = self.with_image(id, |q, file| {
            q.drop_clusters(file, first, clusters, as_zeros)
        })?;
        if dropped || !must_be_zeros {
            return Ok(());
        }
        self.zero_by_writing(id, first, last.min(end) - first)
    }

    /// Makes a part of a cluster zero: all of it if the rest is zero already.
    fn zero_part(&mut self, id: NodeId, offset: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let extent = self.image_status(id, offset, length)?;
        let has_backing = self.at(id)?.backing.is_some();
        let is_zero = extent.kind == ExtentKind::Zero
            || extent.kind == ExtentKind::Unallocated && !has_backing;
        if is_zero && extent.length >= length {
            return Ok(());
        }
        self.zero_by_writing(id, offset, length)
    }

    fn zero_by_writing(&mut self, id: NodeId, offset: u64, length: u64) -> io::Result<()> {
        let zeros = vec![0; to_len(length.min(1 << 20))];
        let mut done = 0;
        while done < length {
            let piece = to_len((length - done).min(1 << 20));
            self.write_image(id, offset + done, &zeros[..piece])?;
            done += piece as u64;
        }
        Ok(())
    }

    pub(super) fn image_status(
        &mut self,
        id: NodeId,
        offset: u64,
        length: u64,
    ) -> io::Result<Extent> {
        let kind = |place| match place {
            Place::Data(_) | Place::Compressed { .. } => ExtentKind::Data,
            Place::Zero => ExtentKind::Zero,
            Place::Unallocated => ExtentKind::Unallocated,
        };
        let (place, mut run) = self.with_image(id, |q, file| q.place(file, offset, length))?;
        let first = kind(place);
        while run < length {
            let (at, left) = (offset + run, length - run);
            let (place, more) = self.with_image(id, |q, file| q.place(file, at, left))?;
            if kind(place) != first {
                break;
            }
            run += more;
        }
        Ok(Extent {
            length: run,
            kind: first,
        })
    }

    /// Writes what a node keeps in memory before it is closed: bitmaps that stay.
    pub(super) fn settle(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        if node.read_only || node.qcow2().is_none() {
            return;
        }
        let kept: Vec<Bitmap> = node
            .bitmaps
            .iter()
            .filter(|b| b.persistent)
            .cloned()
            .collect();
        // No client is left to be told; the image keeps its mark that bitmaps were lost.
        let _ = self.with_image(id, |q, file| q.store_bitmaps(file, &kept));
    }
}

fn to_len(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
