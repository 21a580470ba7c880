//! Images that commands make: targets of copies, and overlays of snapshots.

use crate::model::block::{Image, NewFile};
use crate::schema::BlockdevDriver;
use crate::Machine;
use qmonitor::qapi::Error;

/// The target of a copy of a node.
pub(super) struct NewTarget<'a> {
    pub(super) source: &'a str,
    pub(super) filename: &'a str,
    /// The format; without one that of the source, or the one that an image there has.
    pub(super) format: Option<&'a str>,
    /// Whether the image is there already.
    pub(super) is_there: bool,
    /// The node that the copy goes above of.
    pub(super) backing: Option<&'a str>,
    pub(super) node_name: Option<&'a str>,
}

/// An image above a node.
pub(super) struct NewOverlay<'a> {
    pub(super) node: &'a str,
    pub(super) filename: &'a str,
    pub(super) format: &'a str,
    /// Whether the image is there already.
    pub(super) is_there: bool,
    pub(super) name: Option<&'a str>,
}

fn format_of(name: &str) -> Result<BlockdevDriver, Error> {
    let unknown = |_| Error::new(format!("Unknown file format '{name}'"));
    name.parse().map_err(unknown)
}

/// Makes the target of a copy, unless it is there, and opens it without images below.
///
/// # Errors
///
/// There is no such format, or the file cannot be made or opened.
pub(super) fn open_target(m: &mut Machine, new: &NewTarget) -> Result<String, Error> {
    let own = m.blocks.node(new.source).map(|node| node.driver);
    let format = match new.format {
        Some(name) => Some(format_of(name)?),
        None if new.is_there => None,
        None => own,
    };
    if !new.is_there {
        create(m, new.filename, format, new.source, new.backing)?;
    }
    open(m, new.filename, format, new.node_name)
}

/// Makes an image above a node, unless it is there, and opens it without images below.
///
/// # Errors
///
/// There is no such format or it has no images below, or the file cannot be made or opened.
pub(super) fn new_overlay(m: &mut Machine, new: &NewOverlay) -> Result<String, Error> {
    let format = format_of(new.format)?;
    if !new.is_there {
        create(m, new.filename, Some(format), new.node, Some(new.node))?;
    }
    open(m, new.filename, Some(format), new.name)
}

/// Makes an image of the size of a node.
fn create(
    m: &mut Machine,
    filename: &str,
    format: Option<BlockdevDriver>,
    like: &str,
    backing: Option<&str>,
) -> Result<(), Error> {
    let format = match format {
        None | Some(BlockdevDriver::File) => BlockdevDriver::Raw,
        Some(format) => format,
    };
    let backing = backing.and_then(|name| m.blocks.node(name));
    if backing.is_some_and(|node| node.filename == filename) {
        return Err(Error::new(
            "Error: Trying to create an image with the same filename as the backing file",
        ));
    }
    let new = NewFile {
        filename: filename.to_owned(),
        format,
        size: m.blocks.length(like),
        backing: backing.map(|node| (node.filename.clone(), Some(node.driver))),
    };
    m.blocks.create_image(&new)
}

fn open(
    m: &mut Machine,
    filename: &str,
    format: Option<BlockdevDriver>,
    node_name: Option<&str>,
) -> Result<String, Error> {
    let image = Image {
        filename: Some(filename.to_owned()),
        format,
        node_name: node_name.map(str::to_owned),
        read_only: Some(false),
        no_backing: true,
        ..Image::default()
    };
    m.blocks.open_image(&image).map(|(name, _)| name)
}
