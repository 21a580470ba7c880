//! Nodes are opened: as `blockdev-add` describes them, and as `-drive` does.

use super::faults::{add_rules, Faults};
use super::graph::{not_found, Blocks};
use super::host::open_file;
use super::image::{header, probe};
use super::io::NodeBytes;
use super::nbd::connect;
use super::node::{BlockNode, Content, NodeId};
use super::qcow2::Qcow2;
use crate::schema::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDriver, BlockdevOptions,
    BlockdevOptionsBranch, BlockdevRef, BlockdevRefOrNull,
};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::id_wellformed;

/// Longest name of a node that can be given.
const NODE_NAME_MAX: usize = 31;

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
    /// Whether the image below is left out.
    pub no_backing: bool,
}

/// What a node is opened from.
struct Opened {
    filename: String,
    content: Content,
    file: Option<NodeId>,
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
        let mark = self.mark();
        let opened = self.open(options, name, false);
        if opened.is_err() {
            self.drop_since(mark);
        }
        opened.map(|_| ())
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
        let mark = self.mark();
        let opened = self.open_layers(image);
        if opened.is_err() {
            self.drop_since(mark);
        }
        opened
    }

    pub(super) fn open_layers(&mut self, image: &Image) -> Result<(String, bool), Error> {
        let (driver, filename, content, read_only) = open_bottom(image)?;
        let guess = match &content {
            Content::Host(file) => probe(file),
            _ => BlockdevDriver::Raw,
        };
        let format = image.format.unwrap_or(guess);
        let is_alone = format == driver;
        let lower = match (&image.node_name, is_alone) {
            (Some(name), true) => name.clone(),
            _ => self.new_name(),
        };
        let node = |name: &str, driver, content| BlockNode {
            read_only,
            direct: image.direct,
            no_flush: image.no_flush,
            implicit: true,
            ..BlockNode::new(name, driver, &filename, content)
        };
        let mut top = self.insert(node(&lower, driver, content));
        if !is_alone {
            let content = self.format_content(format, top, read_only)?;
            let upper = image.node_name.clone();
            let upper = upper.unwrap_or_else(|| self.new_name());
            top = self.insert(BlockNode {
                file: Some(top),
                ..node(&upper, format, content)
            });
            self.load_bitmaps(top)?;
            if image.no_backing {
                self.note_named_backing(top);
            } else {
                self.open_named_backing(top)?;
            }
        }
        if let (Some(top), Some(detect)) = (self.nodes.get_mut(&top), image.detect_zeroes) {
            top.detect_zeroes = detect;
        }
        Ok((self.name_of(top).to_owned(), image.format.is_none()))
    }

    /// Opens a format in a node.
    fn format_content(
        &mut self,
        format: BlockdevDriver,
        file: NodeId,
        read_only: bool,
    ) -> Result<Content, Error> {
        if format == BlockdevDriver::Raw {
            return Ok(Content::View {
                offset: 0,
                size: None,
            });
        }
        if format == BlockdevDriver::Qcow2 {
            let image = Qcow2::open(
                &mut NodeBytes {
                    blocks: self,
                    id: file,
                },
                read_only,
            )?;
            return Ok(Content::Qcow2(Box::new(image)));
        }
        let name = self.name_of(file);
        match self.file_under(name) {
            Some(file) => Ok(Content::Described(header(format, file)?)),
            None => Err(Error::new(format!("Unknown driver '{}'", format.as_str()))),
        }
    }

    fn open(
        &mut self,
        options: &BlockdevOptions,
        name: &str,
        implicit: bool,
    ) -> Result<NodeId, Error> {
        let has_child = !matches!(
            options.u,
            BlockdevOptionsBranch::File(_)
                | BlockdevOptionsBranch::HostDevice(_)
                | BlockdevOptionsBranch::NullCo(_)
                | BlockdevOptionsBranch::NullAio(_)
                | BlockdevOptionsBranch::Nbd(_)
        );
        let given = options.node_name.as_deref();
        if let Some(name) = given.filter(|_| !has_child) {
            self.check_name(name)?;
        }
        let cache = options.cache.as_ref();
        let cached =
            |get: fn(&BlockdevCacheOptions) -> Option<bool>| cache.and_then(get).unwrap_or(false);
        let read_only = options.read_only.unwrap_or(false);
        let driver = options.driver();
        let opened = self.open_driver(options, read_only, cached(|c| c.direct))?;
        let detect = options.detect_zeroes;
        let node = BlockNode {
            read_only,
            direct: cached(|c| c.direct),
            no_flush: cached(|c| c.no_flush),
            detect_zeroes: detect.unwrap_or(BlockdevDetectZeroesOptions::Off),
            file: opened.file,
            implicit,
            ..BlockNode::new(name, driver, &opened.filename, opened.content)
        };
        let id = self.insert(node);
        let backing = match &options.u {
            BlockdevOptionsBranch::Qcow2(image) => image.backing.as_ref(),
            BlockdevOptionsBranch::Qed(image) | BlockdevOptionsBranch::Vmdk(image) => {
                image.backing.as_ref()
            }
            _ => None,
        };
        self.load_bitmaps(id)?;
        if backing.is_none() {
            self.open_named_backing(id)?;
        } else {
            let backing = self.open_backing(backing)?;
            self.note_named_backing(id);
            self.set_backing_id(id, backing);
        }
        Ok(id)
    }

    fn open_driver(
        &mut self,
        options: &BlockdevOptions,
        read_only: bool,
        direct: bool,
    ) -> Result<Opened, Error> {
        let driver = options.driver();
        let given = options.node_name.as_deref();
        match &options.u {
            BlockdevOptionsBranch::HostDevice(file) | BlockdevOptionsBranch::File(file) => {
                let opened = open_file(&file.filename, read_only, direct)?;
                Ok(Opened {
                    filename: file.filename.clone(),
                    content: Content::Host(opened),
                    file: None,
                })
            }
            BlockdevOptionsBranch::NullCo(null) | BlockdevOptionsBranch::NullAio(null) => {
                Ok(Opened {
                    filename: format!("{}://", driver.as_str()),
                    content: Content::Null {
                        size: null_size(null.size)?,
                        given_size: null.size.map(|_| null_size(null.size)).transpose()?,
                        read_zeroes: null.read_zeroes,
                    },
                    file: None,
                })
            }
            BlockdevOptionsBranch::Raw(raw) => {
                let mut opened = self.open_format(driver, &raw.file, read_only, given)?;
                let below = opened.file.map_or(0, |file| self.length_of(file));
                opened.content = raw_view(raw.offset, raw.size, below)?;
                Ok(opened)
            }
            BlockdevOptionsBranch::Qcow2(image) => {
                self.open_format(driver, &image.file, read_only, given)
            }
            BlockdevOptionsBranch::Qed(image) | BlockdevOptionsBranch::Vmdk(image) => {
                self.open_format(driver, &image.file, read_only, given)
            }
            BlockdevOptionsBranch::Vdi(image) | BlockdevOptionsBranch::Vpc(image) => {
                self.open_format(driver, &image.file, read_only, given)
            }
            BlockdevOptionsBranch::CopyOnRead(filter) => {
                self.open_filter(&filter.file, read_only, given)
            }
            BlockdevOptionsBranch::Throttle(filter) => {
                self.open_filter(&filter.file, read_only, given)
            }
            BlockdevOptionsBranch::Blkdebug(debug) => {
                let mut debug = debug.clone();
                if let Some(config) = &debug.config {
                    let failed = |e| Error::from_io("Could not read blkdebug config file", &e);
                    let text = std::fs::read_to_string(config).map_err(failed)?;
                    add_rules(&mut debug, &text)?;
                }
                let mut opened = self.open_filter(&debug.image, read_only, given)?;
                opened.content = Content::Faults(Box::new(Faults::new(&debug)));
                Ok(opened)
            }
            BlockdevOptionsBranch::Nbd(nbd) => {
                let connected = self.connected.take();
                let (remote, filename) = connected.unwrap_or_else(|| connect(nbd))?;
                if remote.is_read_only() && !read_only {
                    return Err(Error::new(
                        "request on write denied without write permission",
                    ));
                }
                Ok(Opened {
                    filename,
                    content: Content::Remote(Box::new(remote)),
                    file: None,
                })
            }
            BlockdevOptionsBranch::Compress(filter) => {
                self.open_filter(&filter.file, read_only, given)
            }
            BlockdevOptionsBranch::Luks(luks) if luks.key_secret.is_none() => {
                self.open_filter(&luks.file, read_only, given)?;
                Err(Error::new("Parameter 'key-secret' is required for cipher"))
            }
            BlockdevOptionsBranch::Luks(_) => Err(Error::new(
                "this machine cannot read encrypted images: driver 'luks' is not supported",
            )),
            _ => Err(Error::new(format!("Unknown driver '{}'", driver.as_str()))),
        }
    }

    /// Opens a filter, which passes on what it is given.
    fn open_filter(
        &mut self,
        file: &BlockdevRef,
        read_only: bool,
        given: Option<&str>,
    ) -> Result<Opened, Error> {
        self.open_format(BlockdevDriver::Raw, file, read_only, given)
    }

    /// The file name and the contents of a view of another node.
    fn open_format(
        &mut self,
        format: BlockdevDriver,
        file: &BlockdevRef,
        read_only: bool,
        given: Option<&str>,
    ) -> Result<Opened, Error> {
        let file = self.open_child(file, read_only)?;
        // As in QEMU, the nodes below are there before the name is looked at.
        if let Some(name) = given {
            self.check_name(name)?;
        }
        if format == BlockdevDriver::Qcow2 {
            let image = given.unwrap_or_default();
            self.check_image(self.name_of(file), image, read_only)?;
        }
        let content = self.format_content(format, file, read_only)?;
        Ok(Opened {
            filename: self.nodes[&file].filename.clone(),
            content,
            file: Some(file),
        })
    }

    /// The node below an image, which is only read.
    fn open_backing(
        &mut self,
        backing: Option<&BlockdevRefOrNull>,
    ) -> Result<Option<NodeId>, Error> {
        match backing {
            None | Some(BlockdevRefOrNull::Null(_)) => Ok(None),
            Some(BlockdevRefOrNull::Reference(name)) => {
                let id = self.id(name).ok_or_else(|| not_found(name, name))?;
                Ok(Some(id))
            }
            Some(BlockdevRefOrNull::Definition(options)) => {
                let mut options = (**options).clone();
                options.read_only = Some(true);
                self.open_part(&options).map(Some)
            }
        }
    }

    /// Opens a node that goes with the one it is made for.
    fn open_part(&mut self, options: &BlockdevOptions) -> Result<NodeId, Error> {
        let name = match &options.node_name {
            Some(name) => name.clone(),
            None => self.new_name(),
        };
        self.open(options, &name, true)
    }

    pub(super) fn check_name(&self, name: &str) -> Result<(), Error> {
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
    pub(super) fn open_child(
        &mut self,
        file: &BlockdevRef,
        read_only: bool,
    ) -> Result<NodeId, Error> {
        match file {
            BlockdevRef::Reference(name) => {
                let node = self.node(name).ok_or_else(|| not_found(name, name))?;
                if node.read_only && !read_only {
                    return Err(Error::new(format!("Block node is read-only: '{name}'")));
                }
                self.id(name).ok_or_else(|| not_found(name, name))
            }
            BlockdevRef::Definition(options) => {
                let mut options = (**options).clone();
                options.read_only = options.read_only.or(Some(read_only));
                self.open_part(&options)
            }
        }
    }
}

/// The lowest node of a drive: its driver, the name of its file, its bytes, and whether they
/// are only read.
fn open_bottom(image: &Image) -> Result<(BlockdevDriver, String, Content, bool), Error> {
    let Some(filename) = &image.filename else {
        let null = image.null;
        let (driver, size) =
            null.ok_or_else(|| Error::new("Must specify either driver or file"))?;
        let content = Content::Null {
            size,
            given_size: None,
            read_zeroes: None,
        };
        let filename = format!("{}://", driver.as_str());
        return Ok((driver, filename, content, image.read_only.unwrap_or(false)));
    };
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
    Ok((driver, filename.clone(), Content::Host(file), read_only))
}

/// The size of a disk without contents; the default is a gibibyte.
fn null_size(size: Option<i64>) -> Result<u64, Error> {
    let size = u64::try_from(size.unwrap_or(1 << 30));
    size.map_err(|_| Error::new("Invalid parameter 'size'"))
}

fn raw_view(offset: Option<i64>, size: Option<i64>, below: u64) -> Result<Content, Error> {
    let offset = u64::try_from(offset.unwrap_or(0)).unwrap_or(u64::MAX);
    let size = size.map(|size| u64::try_from(size).unwrap_or(u64::MAX));
    if below < offset {
        return Err(Error::new(format!(
            "Offset ({offset}) cannot be greater than size of the containing file ({below})"
        )));
    }
    if size.is_some_and(|size| below - offset < size) {
        return Err(Error::new(format!(
            "The sum of offset ({offset}) and size ({}) has to be smaller or equal to the actual \
             size of the containing file ({below})",
            size.unwrap_or(0)
        )));
    }
    if size.is_some_and(|size| size % 512 != 0) {
        return Err(Error::new("Specified size is not multiple of 512"));
    }
    Ok(Content::View { offset, size })
}
