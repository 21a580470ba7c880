//! New image files and new images in nodes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::chain::full_name;
use super::graph::{no_node, Blocks};
use super::host::open_file;
use super::io::NodeBytes;
use super::node::{BlockNode, Content, NodeId};
use super::open::Image;
use super::qcow2::{NewImage, Qcow2};
use crate::schema::{
    BlockdevCreateOptions, BlockdevCreateOptionsFile, BlockdevCreateOptionsQcow2, BlockdevDriver,
    BlockdevQcow2Version, BlockdevRef, PreallocMode, Qcow2CompressionType,
};
use qmonitor::qapi::Error;

/// An image file to make: what a snapshot, a mirror or a backup goes to.
#[derive(Debug, Clone)]
pub struct NewFile {
    #[allow(missing_docs)]
    pub filename: String,
    #[allow(missing_docs)]
    pub format: BlockdevDriver,
    /// The size of the disk.
    pub size: u64,
    /// The file of the image below, and its format.
    pub backing: Option<(String, Option<BlockdevDriver>)>,
}

impl Blocks {
    /// Makes an image as `blockdev-create` describes it.
    ///
    /// # Errors
    ///
    /// The driver makes none, the wishes contradict each other, or the host refuses.
    pub fn create(&mut self, options: &BlockdevCreateOptions) -> Result<(), Error> {
        match options {
            BlockdevCreateOptions::File(file) => {
                self.check_unlocked(&file.filename)?;
                create_file(file)
            }
            BlockdevCreateOptions::Qcow2(image) => self.create_qcow2(image),
            _ => Err(Error::new("Driver does not support blockdev-create")),
        }
    }

    /// Makes an image file (`bdrv_img_create`); what was in a file of that name is gone.
    ///
    /// # Errors
    ///
    /// The driver makes no images, or the host refuses.
    pub fn create_image(&mut self, new: &NewFile) -> Result<(), Error> {
        let filename = &new.filename;
        let format = new.format;
        let size = if format == BlockdevDriver::Raw {
            new.size
        } else {
            0
        };
        match (format, &new.backing) {
            (BlockdevDriver::Raw, Some(_)) => {
                return Err(Error::new(
                    "Backing file not supported for file format 'raw'",
                ))
            }
            (BlockdevDriver::Raw | BlockdevDriver::Qcow2, _) => {}
            _ => {
                let driver = format.as_str();
                return Err(Error::new(format!(
                    "Format driver '{driver}' does not support image creation"
                )));
            }
        }
        self.check_unlocked(filename)?;
        let failed = |e| Error::from_io(format!("Could not create '{filename}'"), &e);
        let file = File::create(filename).map_err(failed)?;
        file.set_len(size.div_ceil(512) * 512)
            .map_err(|e| Error::from_io("Could not resize file", &e))?;
        if format == BlockdevDriver::Raw {
            return Ok(());
        }
        let (backing, backing_format) = match &new.backing {
            Some((name, format)) => (Some(name.clone()), *format),
            None => (None, None),
        };
        let image = NewImage {
            backing,
            backing_format: backing_format.map(|format| format.as_str().to_owned()),
            ..NewImage::new(new.size)
        };
        let id = self.open_to_format(filename)?;
        let made = self.format_node(id, &image);
        self.close_id(id);
        made
    }

    /// Checks that no image of this machine is in a file that is about to be made anew.
    fn check_unlocked(&self, filename: &str) -> Result<(), Error> {
        let Ok(there) = std::fs::metadata(filename) else {
            return Ok(());
        };
        let is_locked = self.nodes.values().any(|node| match &node.content {
            Content::Host(file) => {
                let is_same = file
                    .metadata()
                    .is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()));
                let mut parents = self.parents(&node.name);
                is_same && parents.any(|(parent, _)| parent.qcow2().is_some())
            }
            _ => false,
        });
        if is_locked {
            return Err(
                Error::new("Failed to get \"write\" lock").with_hint(format!(
                    "Is another process using the image [{filename}]?\n"
                )),
            );
        }
        Ok(())
    }

    /// Opens a file only to write an image into it.
    fn open_to_format(&mut self, filename: &str) -> Result<NodeId, Error> {
        let file = open_file(filename, false, false)?;
        let name = self.new_name();
        let content = Content::Host(file);
        let node = BlockNode::new(&name, BlockdevDriver::File, filename, content);
        Ok(self.insert(node))
    }

    /// Makes an image file and opens it; the name of its upper node is returned.
    ///
    /// # Errors
    ///
    /// As [`create_image`](Self::create_image), or the name is bad or in use.
    pub fn open_new(&mut self, new: &NewFile, node_name: Option<&str>) -> Result<String, Error> {
        if let Some(name) = node_name {
            self.check_name(name)?;
        }
        self.create_image(new)?;
        let image = Image {
            filename: Some(new.filename.clone()),
            format: Some(new.format),
            node_name: node_name.map(str::to_owned),
            read_only: Some(false),
            ..Image::default()
        };
        Ok(self.open_image(&image)?.0)
    }

    fn format_node(&mut self, id: NodeId, new: &NewImage) -> Result<(), Error> {
        Qcow2::create(&mut NodeBytes { blocks: self, id }, new).map(|_| ())
    }

    fn create_qcow2(&mut self, options: &BlockdevCreateOptionsQcow2) -> Result<(), Error> {
        let mark = self.mark();
        let id = self.open_child(&options.file, false)?;
        let is_part = matches!(options.file, BlockdevRef::Definition(_));
        let new = new_image(options);
        let made = new.and_then(|new| self.format_node(id, &new));
        if is_part {
            self.drop_since(mark);
        }
        made
    }

    /// Names another image below in the image of a node, and its format (`None`: no image
    /// below). The graph stays.
    ///
    /// # Errors
    ///
    /// The format has no backing files, the node cannot be written, or the host refuses.
    pub fn change_backing_file(
        &mut self,
        node: &str,
        backing: Option<&str>,
        format: Option<&str>,
    ) -> Result<(), Error> {
        let id = self.id(node).ok_or_else(|| no_node(node))?;
        let failed = |e: &std::io::Error| {
            Error::from_io(
                format!(
                    "Could not change the backing file to '{}'",
                    backing.unwrap_or("")
                ),
                e,
            )
        };
        let node = &self.nodes[&id];
        if node.qcow2().is_none() {
            return Err(failed(&nix::errno::Errno::ENOTSUP.into()));
        }
        let changed = self.with_image(id, |q, file| q.set_backing_file(file, backing, format));
        changed.map_err(|e| failed(&e))?;
        let full = full_name(&self.nodes[&id].filename, backing);
        self.nodes
            .entry(id)
            .and_modify(|node| node.auto_backing = full);
        Ok(())
    }
}

fn create_file(file: &BlockdevCreateOptionsFile) -> Result<(), Error> {
    let failed = |e| Error::from_io(format!("Could not create '{}'", file.filename), &e);
    let opened = File::create(&file.filename).map_err(failed)?;
    let size = file.size.div_ceil(512) * 512;
    let resized = opened.set_len(size);
    resized.map_err(|e| Error::from_io("Could not resize file", &e))
}

/// What `blockdev-create` says of a new image.
fn new_image(options: &BlockdevCreateOptionsQcow2) -> Result<NewImage, Error> {
    let refuse = |what: &str| Err(Error::new(format!("this machine cannot make {what}")));
    if options.data_file.is_some() {
        return refuse("qcow2 images with an external data file");
    }
    if options.extended_l2 == Some(true) {
        return refuse("qcow2 images with extended L2 entries");
    }
    if options.encrypt.is_some() {
        return refuse("encrypted images");
    }
    if options.compression_type == Some(Qcow2CompressionType::Zstd) {
        return refuse("qcow2 images that are compressed with zstd");
    }
    if options.size % 512 != 0 {
        return Err(Error::new("Image size must be a multiple of 512 bytes"));
    }
    let backing_format = options.backing_fmt.map(|format| format.as_str().to_owned());
    Ok(NewImage {
        version: match options.version {
            Some(BlockdevQcow2Version::V2) => 2,
            _ => 3,
        },
        cluster_size: options.cluster_size.unwrap_or(65536),
        refcount_bits: u64::try_from(options.refcount_bits.unwrap_or(16)).unwrap_or(0),
        backing: options.backing_file.clone(),
        backing_format,
        lazy_refcounts: options.lazy_refcounts.unwrap_or(false),
        preallocated: options
            .preallocation
            .is_some_and(|mode| mode != PreallocMode::Off),
        ..NewImage::new(options.size)
    })
}
