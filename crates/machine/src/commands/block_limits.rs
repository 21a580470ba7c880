//! What QEMU 11.1 tells of a node beside its image: the nodes below it, and what one
//! request to it may be.

use crate::model::block::{BlockNode, Blocks};
use crate::schema::{BlockLimitsInfo, BlockdevChild, BlockdevDriver};

/// The nodes below one, the backing image first.
pub(super) fn children(blocks: &Blocks, node: &BlockNode) -> Vec<BlockdevChild> {
    let roles = [
        ("backing", blocks.backing_of(node)),
        ("file", blocks.file_of(node)),
    ];
    let child = |(role, node): (&str, Option<&BlockNode>)| {
        Some(BlockdevChild {
            child: role.to_owned(),
            node_name: node?.name.clone(),
        })
    };
    roles.into_iter().filter_map(child).collect()
}

/// What QEMU finds for files and for nodes without contents. A format with clusters
/// gives back and zeroes whole ones.
pub(super) fn limits(node: &BlockNode) -> BlockLimitsInfo {
    let cluster = node.qcow2().map(|image| image.header.cluster_size());
    let cluster = cluster.and_then(|size| u32::try_from(size).ok());
    let is_null = matches!(
        node.driver,
        BlockdevDriver::NullCo | BlockdevDriver::NullAio
    );
    BlockLimitsInfo {
        request_alignment: 1,
        max_discard: None,
        discard_alignment: cluster,
        max_write_zeroes: None,
        write_zeroes_alignment: cluster,
        opt_transfer: None,
        max_transfer: None,
        max_hw_transfer: None,
        max_iov: 1024,
        max_hw_iov: None,
        min_mem_alignment: if is_null { 512 } else { 1 },
        opt_mem_alignment: 4096,
    }
}
