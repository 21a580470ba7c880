//! Dirty bitmaps: `block-bitmaps.json`.

use crate::model::block::NewBitmap;
use crate::schema::{
    BlockBitmapsCommands, BlockDirtyBitmap, BlockDirtyBitmapAdd, BlockDirtyBitmapMerge,
    BlockDirtyBitmapOrStr, BlockDirtyBitmapSha256,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl BlockBitmapsCommands for Machine {
    fn qmp_block_dirty_bitmap_add(rt: &mut Rt, arg: BlockDirtyBitmapAdd) -> Result<(), Error> {
        let new = NewBitmap {
            name: arg.name,
            granularity: arg.granularity,
            persistent: arg.persistent.unwrap_or(false),
            disabled: arg.disabled.unwrap_or(false),
        };
        rt.state.blocks.bitmap_add(&arg.node, &new)
    }

    fn qmp_block_dirty_bitmap_remove(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        rt.state.blocks.bitmap_remove(&arg.node, &arg.name)
    }

    fn qmp_block_dirty_bitmap_clear(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        rt.state.blocks.bitmap_clear(&arg.node, &arg.name)
    }

    fn qmp_block_dirty_bitmap_enable(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        rt.state.blocks.bitmap_enable(&arg.node, &arg.name, true)
    }

    fn qmp_block_dirty_bitmap_disable(rt: &mut Rt, arg: BlockDirtyBitmap) -> Result<(), Error> {
        rt.state.blocks.bitmap_enable(&arg.node, &arg.name, false)
    }

    fn qmp_block_dirty_bitmap_merge(rt: &mut Rt, arg: BlockDirtyBitmapMerge) -> Result<(), Error> {
        let source = |source| match source {
            BlockDirtyBitmapOrStr::Local(name) => (arg.node.clone(), name),
            BlockDirtyBitmapOrStr::External(bitmap) => (bitmap.node, bitmap.name),
        };
        let sources: Vec<_> = arg.bitmaps.into_iter().map(source).collect();
        let blocks = &mut rt.state.blocks;
        blocks.bitmap_merge(&arg.node, &arg.target, &sources)
    }

    fn qmp_x_debug_block_dirty_bitmap_sha256(
        rt: &mut Rt,
        arg: BlockDirtyBitmap,
    ) -> Result<BlockDirtyBitmapSha256, Error> {
        let sha256 = rt.state.blocks.bitmap_sha256(&arg.node, &arg.name)?;
        Ok(BlockDirtyBitmapSha256 { sha256 })
    }
}
