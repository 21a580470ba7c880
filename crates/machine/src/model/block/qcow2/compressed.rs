//! Compressed clusters are read; those that are written are not compressed.

use std::io;

use flate2::{Decompress, FlushDecompress};
use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::fields::to_index;
use super::Qcow2;
use crate::schema::Qcow2CompressionType;

impl Qcow2 {
    /// Reads bytes of a compressed cluster.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is damaged, or is compressed in a way that is not known here.
    pub fn read_compressed(
        &mut self,
        file: &mut dyn Bytes,
        offset: u64,
        length: u64,
        in_cluster: u64,
        into: &mut [u8],
    ) -> io::Result<()> {
        if self.header.compression() != Qcow2CompressionType::Zlib {
            return Err(Errno::ENOTSUP.into());
        }
        let mut packed = vec![0; to_index(length)];
        file.read(offset, &mut packed)?;
        let mut cluster = vec![0; to_index(self.header.cluster_size())];
        inflate(&packed, &mut cluster)?;
        let at = to_index(in_cluster);
        into.copy_from_slice(&cluster[at..at + into.len()]);
        Ok(())
    }
}

/// Unpacks a cluster. What follows it in the last sector is of other clusters.
fn inflate(packed: &[u8], cluster: &mut [u8]) -> io::Result<()> {
    let mut inflater = Decompress::new(false);
    match inflater.decompress(packed, cluster, FlushDecompress::Finish) {
        Ok(_) if inflater.total_out() == cluster.len() as u64 => Ok(()),
        _ => Err(Errno::EIO.into()),
    }
}
