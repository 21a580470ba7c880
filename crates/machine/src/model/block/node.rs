//! Block nodes, which know nothing of the devices that use them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use crate::schema::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDriver, BlockdevOptions,
    BlockdevOptionsBranch, BlockdevRef,
};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::id_wellformed;

/// Longest name of a node that can be given.
const NODE_NAME_MAX: usize = 31;

/// All nodes, in order of making.
#[derive(Debug, Default)]
pub struct Blocks {
    nodes: Vec<BlockNode>,
    /// How many nodes without a name there were.
    unnamed: usize,
}

/// A node of the block layer.
#[derive(Debug)]
pub struct BlockNode {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: BlockdevDriver,
    /// The name of the file at the bottom.
    pub filename: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// How writes are cached: past the host's cache, and without making them safe.
    pub direct: bool,
    #[allow(missing_docs)]
    pub no_flush: bool,
    /// Whether writes of zeros are detected.
    pub detect_zeroes: BlockdevDetectZeroesOptions,
    /// Where its contents are.
    content: Content,
    /// Whether it was made for another node, and goes with it.
    implicit: bool,
}

#[derive(Debug)]
enum Content {
    File(File),
    /// Nowhere; it has a size only.
    Null(u64),
    /// In the node of this name.
    Node(String),
}

impl BlockNode {
    /// The name of the node that it shows, if it is no file itself.
    pub fn file(&self) -> Option<&str> {
        match &self.content {
            Content::File(_) | Content::Null(_) => None,
            Content::Node(name) => Some(name),
        }
    }
}

impl Blocks {
    /// Makes a node (`blockdev-add`).
    ///
    /// # Errors
    ///
    /// The name is bad or in use, there is no such driver, or the file cannot be
    /// opened. Nothing is left then.
    pub fn add(&mut self, options: &BlockdevOptions) -> Result<(), Error> {
        let name = options
            .node_name
            .as_deref()
            .ok_or_else(|| Error::new("'node-name' must be specified for the root node"))?;
        let before = self.nodes.len();
        let result = self.open(options, name, false);
        if result.is_err() {
            self.nodes.truncate(before);
        }
        result
    }

    fn open(&mut self, options: &BlockdevOptions, name: &str, implicit: bool) -> Result<(), Error> {
        if !implicit {
            self.check_name(name)?;
        }
        let cache = options.cache.as_ref();
        let cached =
            |get: fn(&BlockdevCacheOptions) -> Option<bool>| cache.and_then(get).unwrap_or(false);
        let read_only = options.read_only.unwrap_or(false);
        let (filename, content) = match &options.u {
            BlockdevOptionsBranch::File(file) => {
                let direct = cached(|c| c.direct);
                let opened = open_file(&file.filename, read_only, direct)?;
                (file.filename.clone(), Content::File(opened))
            }
            BlockdevOptionsBranch::NullCo(null) | BlockdevOptionsBranch::NullAio(null) => {
                let size = null_size(null.size)?;
                let driver = options.driver();
                (format!("{}://", driver.as_str()), Content::Null(size))
            }
            BlockdevOptionsBranch::Raw(raw) => {
                let child = self.child_of(&raw.file, read_only)?;
                let filename = self.node(&child).map(|n| n.filename.clone());
                (filename.unwrap_or_default(), Content::Node(child))
            }
            _ => {
                let driver = options.driver();
                return Err(Error::new(format!("Unknown driver '{}'", driver.as_str())));
            }
        };
        self.nodes.push(BlockNode {
            name: name.to_owned(),
            driver: options.driver(),
            filename,
            read_only,
            direct: cached(|c| c.direct),
            no_flush: cached(|c| c.no_flush),
            detect_zeroes: options
                .detect_zeroes
                .unwrap_or(BlockdevDetectZeroesOptions::Off),
            content,
            implicit,
        });
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        if !id_wellformed(name) {
            return Err(Error::new(format!("Invalid node-name: '{name}'")));
        }
        if name.len() > NODE_NAME_MAX {
            return Err(Error::new("Node name too long"));
        }
        match self.node(name) {
            Some(_) => Err(Error::new(format!(
                "Duplicate nodes with node-name='{name}'"
            ))),
            None => Ok(()),
        }
    }

    /// The node that a raw one shows: an existing one, or one made for it.
    fn child_of(&mut self, file: &BlockdevRef, read_only: bool) -> Result<String, Error> {
        match file {
            BlockdevRef::Reference(name) => {
                let node = self.node(name).ok_or_else(|| not_found(name, name))?;
                if node.read_only && !read_only {
                    return Err(Error::new(format!("Block node is read-only: '{name}'")));
                }
                self.check_free(name)?;
                Ok(name.clone())
            }
            BlockdevRef::Definition(options) => {
                let mut options = (**options).clone();
                options.read_only = options.read_only.or(Some(read_only));
                let (name, implicit) = match options.node_name.clone() {
                    Some(name) => (name, false),
                    None => {
                        self.unnamed += 1;
                        (format!("#block{:03}", self.unnamed), true)
                    }
                };
                self.open(&options, &name, implicit)?;
                if let Some(node) = self.nodes.last_mut() {
                    node.implicit = true;
                }
                Ok(name)
            }
        }
    }

    /// Closes a node (`blockdev-del`), which no device uses.
    ///
    /// # Errors
    ///
    /// There is no such node, or another node uses it.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.node(name).ok_or_else(|| no_node(name))?;
        if self.parent(name).is_some() {
            return Err(Error::new(format!("Block device {name} is in use")));
        }
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let Some(at) = self.nodes.iter().position(|n| n.name == name) else {
                break;
            };
            if let Content::Node(child) = self.nodes.remove(at).content {
                next = self.node(&child).filter(|n| n.implicit).map(|_| child);
            }
        }
        Ok(())
    }

    /// The node that one of the names of a command means. No node is found by the name of a
    /// device.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, device: &str, name: &str) -> Result<&BlockNode, Error> {
        self.node(name).ok_or_else(|| not_found(device, name))
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&BlockNode> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// All nodes, the newest first, as they are listed.
    pub fn nodes(&self) -> impl Iterator<Item = &BlockNode> {
        self.nodes.iter().rev()
    }

    /// The node that shows this one.
    fn parent(&self, name: &str) -> Option<&BlockNode> {
        let mut nodes = self.nodes.iter();
        nodes.find(|n| matches!(&n.content, Content::Node(child) if child == name))
    }

    /// Checks that no other node has this one, since a node has only one writer.
    pub(super) fn check_free(&self, name: &str) -> Result<(), Error> {
        match self.parent(name) {
            Some(parent) => Err(Error::new(format!(
                "Permission conflict on node '{name}': permissions 'write' are both required \
                 by node '{}' (uses node '{name}' as 'file' child) and unshared by another user.",
                parent.name
            ))),
            None => Ok(()),
        }
    }

    /// The file at the bottom of a node.
    fn file(&self, name: &str) -> Option<&File> {
        match &self.node(name)?.content {
            Content::File(file) => Some(file),
            Content::Null(_) => None,
            Content::Node(child) => self.file(child),
        }
    }

    /// The size of the disk without contents at the bottom of a node.
    fn null(&self, name: &str) -> Option<u64> {
        match &self.node(name)?.content {
            Content::File(_) => None,
            Content::Null(size) => Some(*size),
            Content::Node(child) => self.null(child),
        }
    }

    /// How large the disk is, in bytes, in whole sectors.
    pub fn virtual_size(&self, name: &str) -> u64 {
        if let Some(size) = self.null(name) {
            return size.div_ceil(512) * 512;
        }
        // A block device of the host has no length, but an end.
        let end = self.file(name).map(|mut file| file.seek(SeekFrom::End(0)));
        end.and_then(Result::ok).unwrap_or(0).div_ceil(512) * 512
    }

    /// The space it takes on the host, in bytes.
    pub fn actual_size(&self, name: &str) -> u64 {
        let metadata = self.file(name).map(File::metadata);
        metadata
            .and_then(Result::ok)
            .map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Makes a disk larger or smaller (`block_resize`).
    ///
    /// # Errors
    ///
    /// There is no such node, it cannot be written, or the host refuses.
    pub fn resize(&mut self, name: &str, size: i64) -> Result<(), Error> {
        let node = self.node(name).ok_or_else(|| not_found("", name))?;
        let size =
            u64::try_from(size).map_err(|_| Error::new("Parameter 'size' expects a >0 size"))?;
        if node.read_only {
            return Err(Error::new("Image is read-only"));
        }
        if self.null(name).is_some() {
            return Err(Error::new("Image format driver does not support resize"));
        }
        let file = self.file(name).ok_or_else(|| no_node(name))?;
        file.set_len(size)
            .map_err(|e| Error::from_io("Failed to resize underlying file", &e))
    }
}

/// The size of a disk without contents; the default is a gibibyte.
fn null_size(size: Option<i64>) -> Result<u64, Error> {
    let size = u64::try_from(size.unwrap_or(1 << 30));
    size.map_err(|_| Error::new("Invalid parameter 'size'"))
}

fn open_file(filename: &str, read_only: bool, direct: bool) -> Result<File, Error> {
    let failed = |e: &io::Error| Error::from_io(format!("Could not open '{filename}'"), e);
    let flags = if direct { nix::libc::O_DIRECT } else { 0 };
    let file = File::options()
        .read(true)
        .write(!read_only)
        .custom_flags(flags)
        .open(filename)
        .map_err(|e| failed(&e))?;
    if file.metadata().map_err(|e| failed(&e))?.is_dir() {
        Err(failed(&nix::errno::Errno::EISDIR.into()))
    } else {
        Ok(file)
    }
}

pub(crate) fn no_node(name: &str) -> Error {
    Error::new(format!("Failed to find node with node-name='{name}'"))
}

fn not_found(device: &str, node: &str) -> Error {
    Error::new(format!(
        "Cannot find device='{device}' nor node-name='{node}'"
    ))
}
