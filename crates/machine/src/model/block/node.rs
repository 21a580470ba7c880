//! Block nodes, which know nothing of the devices that use them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::backend::Backends;
use super::image::{header, probe, Header};
use crate::schema::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDriver, BlockdevOptions,
    BlockdevOptionsBranch, BlockdevRef, BlockdevRefOrNull,
};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::id_wellformed;

/// Longest name of a node that can be given.
const NODE_NAME_MAX: usize = 31;

/// All nodes, in order of making.
#[derive(Debug, Default)]
pub struct Blocks {
    nodes: Vec<BlockNode>,
    /// The back ends with names of their own.
    pub backends: Backends,
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
    /// The node below, which has what is not in this one.
    pub backing: Option<String>,
    /// What the format says of the disk, if there is a format.
    pub header: Option<Header>,
    /// Whether it was made for another node, and goes with it.
    implicit: bool,
}

/// An image as `-drive` describes it.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The file, or nothing for a disk without contents.
    pub filename: Option<String>,
    /// The driver of a disk without contents, and its size.
    pub null: Option<(BlockdevDriver, u64)>,
    /// The format; without one it is guessed.
    pub format: Option<BlockdevDriver>,
    /// The name of the upper node.
    pub node_name: Option<String>,
    /// Whether it is never written; without a word it is written if that is allowed.
    pub read_only: Option<bool>,
    #[allow(missing_docs)]
    pub direct: bool,
    #[allow(missing_docs)]
    pub no_flush: bool,
    #[allow(missing_docs)]
    pub detect_zeroes: Option<BlockdevDetectZeroesOptions>,
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

    /// Opens an image and returns the name of its upper node. Whether the format was
    /// guessed is told as well.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn open_image(&mut self, image: &Image) -> Result<(String, bool), Error> {
        if let Some(name) = &image.node_name {
            self.check_name(name)?;
        }
        let (driver, filename, content, read_only) = match (&image.filename, image.null) {
            (Some(filename), _) => {
                let wanted = image.read_only;
                let opened = open_file(filename, wanted.unwrap_or(false), image.direct);
                let (file, read_only) = match opened {
                    // Nothing was said about writing, so reading will do.
                    Err(_) if wanted.is_none() => match open_file(filename, true, image.direct) {
                        Ok(file) => (file, true),
                        Err(_) => (opened?, false),
                    },
                    opened => (opened?, wanted.unwrap_or(false)),
                };
                let driver = BlockdevDriver::File;
                (driver, filename.clone(), Content::File(file), read_only)
            }
            (None, Some((driver, size))) => {
                let filename = format!("{}://", driver.as_str());
                let read_only = image.read_only.unwrap_or(false);
                (driver, filename, Content::Null(size), read_only)
            }
            (None, None) => return Err(Error::new("Must specify either driver or file")),
        };
        let guess = match &content {
            Content::File(file) => probe(file),
            _ => BlockdevDriver::Raw,
        };
        let format = image.format.unwrap_or(guess);
        let is_alone = format == driver;
        let head = match (&content, format) {
            (_, BlockdevDriver::Raw) => None,
            _ if is_alone => None,
            (Content::File(file), format) => Some(header(format, file)?),
            _ => return Err(Error::new(format!("Unknown driver '{}'", format.as_str()))),
        };
        let lower = match (&image.node_name, is_alone) {
            (Some(name), true) => name.clone(),
            _ => self.new_name(),
        };
        let upper = match (&image.node_name, is_alone) {
            (_, true) => lower.clone(),
            (Some(name), false) => name.clone(),
            (None, false) => self.new_name(),
        };
        let node = |name: &str, driver, content| BlockNode {
            name: name.to_owned(),
            driver,
            filename: filename.clone(),
            read_only,
            direct: image.direct,
            no_flush: image.no_flush,
            detect_zeroes: BlockdevDetectZeroesOptions::Off,
            content,
            backing: None,
            header: None,
            implicit: true,
        };
        self.nodes.push(node(&lower, driver, content));
        if !is_alone {
            let content = Content::Node(lower);
            self.nodes.push(BlockNode {
                header: head,
                ..node(&upper, format, content)
            });
        }
        if let (Some(top), Some(detect)) = (self.nodes.last_mut(), image.detect_zeroes) {
            top.detect_zeroes = detect;
        }
        Ok((upper, image.format.is_none()))
    }

    /// Whether a node was made for a drive or another node, and goes with it.
    pub fn is_implicit(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.implicit)
    }

    /// A name for a node that has none.
    fn new_name(&mut self) -> String {
        self.unnamed += 1;
        format!("#block{:03}", self.unnamed)
    }

    fn open(&mut self, options: &BlockdevOptions, name: &str, implicit: bool) -> Result<(), Error> {
        if !implicit {
            self.check_name(name)?;
        }
        let cache = options.cache.as_ref();
        let cached =
            |get: fn(&BlockdevCacheOptions) -> Option<bool>| cache.and_then(get).unwrap_or(false);
        let read_only = options.read_only.unwrap_or(false);
        let mut backing = None;
        let (filename, content) = match &options.u {
            BlockdevOptionsBranch::HostDevice(file) | BlockdevOptionsBranch::File(file) => {
                let direct = cached(|c| c.direct);
                let opened = open_file(&file.filename, read_only, direct)?;
                (file.filename.clone(), Content::File(opened))
            }
            BlockdevOptionsBranch::NullCo(null) | BlockdevOptionsBranch::NullAio(null) => {
                let size = null_size(null.size)?;
                let driver = options.driver();
                (format!("{}://", driver.as_str()), Content::Null(size))
            }
            BlockdevOptionsBranch::Raw(raw) => self.format(&raw.file, read_only)?,
            BlockdevOptionsBranch::Qcow2(image) => {
                backing = self.backing_of(image.backing.as_ref())?;
                self.format(&image.file, read_only)?
            }
            BlockdevOptionsBranch::Qed(image) | BlockdevOptionsBranch::Vmdk(image) => {
                backing = self.backing_of(image.backing.as_ref())?;
                self.format(&image.file, read_only)?
            }
            BlockdevOptionsBranch::Vdi(image) | BlockdevOptionsBranch::Vpc(image) => {
                self.format(&image.file, read_only)?
            }
            BlockdevOptionsBranch::CopyOnRead(filter) => self.format(&filter.file, read_only)?,
            BlockdevOptionsBranch::Throttle(filter) => self.format(&filter.file, read_only)?,
            _ => {
                let driver = options.driver();
                return Err(Error::new(format!("Unknown driver '{}'", driver.as_str())));
            }
        };
        let header = match (&content, options.driver()) {
            (Content::Node(child), driver) if has_header(driver) => {
                let file = self.file(child);
                let read = file.map(|file| header(driver, file));
                Some(read.unwrap_or_else(|| Err(Error::new("Image has no contents")))?)
            }
            _ => None,
        };
        self.nodes.push(BlockNode {
            backing,
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
            header,
            implicit,
        });
        Ok(())
    }

    /// The file name and the contents of a view of another node.
    fn format(&mut self, file: &BlockdevRef, read_only: bool) -> Result<(String, Content), Error> {
        let child = self.child_of(file, read_only)?;
        let filename = self.node(&child).map(|n| n.filename.clone());
        Ok((filename.unwrap_or_default(), Content::Node(child)))
    }

    /// The node below an image, which is only read.
    fn backing_of(&mut self, backing: Option<&BlockdevRefOrNull>) -> Result<Option<String>, Error> {
        match backing {
            None | Some(BlockdevRefOrNull::Null(_)) => Ok(None),
            Some(BlockdevRefOrNull::Reference(name)) => {
                let node = self.node(name).ok_or_else(|| not_found(name, name))?;
                Ok(Some(node.name.clone()))
            }
            Some(BlockdevRefOrNull::Definition(options)) => {
                let mut options = (**options).clone();
                options.read_only = Some(true);
                let (name, implicit) = match options.node_name.clone() {
                    Some(name) => (name, false),
                    None => (self.new_name(), true),
                };
                self.open(&options, &name, implicit)?;
                if let Some(node) = self.nodes.last_mut() {
                    node.implicit = true;
                }
                Ok(Some(name))
            }
        }
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
                    None => (self.new_name(), true),
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
        self.close(name);
        Ok(())
    }

    /// Closes a node that nothing uses, and those made for it.
    pub(super) fn close(&mut self, name: &str) {
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let Some(at) = self.nodes.iter().position(|n| n.name == name) else {
                break;
            };
            if let Content::Node(child) = self.nodes.remove(at).content {
                next = self.node(&child).filter(|n| n.implicit).map(|_| child);
            }
        }
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

    /// How many nodes are below one another.
    pub fn backing_depth(&self, node: &BlockNode) -> i64 {
        let below = node.backing.as_deref().and_then(|name| self.node(name));
        below.map_or(0, |below| 1 + self.backing_depth(below))
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
        nodes.find(|n| {
            let is_file = matches!(&n.content, Content::Node(child) if child == name);
            is_file || n.backing.as_deref() == Some(name)
        })
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
        if let Some(header) = self.node(name).and_then(|n| n.header.as_ref()) {
            return header.virtual_size;
        }
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

/// Whether images of a driver tell the size of the disk.
fn has_header(driver: BlockdevDriver) -> bool {
    use BlockdevDriver::{Qcow2, Qed, Vdi, Vmdk, Vpc};
    matches!(driver, Qcow2 | Qed | Vdi | Vmdk | Vpc)
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
