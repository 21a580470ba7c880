//! What jobs need until images can do it.

use super::graph::Blocks;
use crate::schema::BlockdevDriver;
use qmonitor::qapi::Error;

impl Blocks {
    /// Makes a node one that can be written, or not.
    ///
    /// # Errors
    ///
    /// Its file cannot be opened so.
    pub fn set_read_only(&mut self, node: &str, read_only: bool) -> Result<(), Error> {
        if let Some(node) = self.node_mut(node) {
            node.read_only = read_only;
        }
        Ok(())
    }

    /// Names another image below in a header.
    ///
    /// # Errors
    ///
    /// The image has no room for it.
    pub fn change_backing_file(
        &mut self,
        _node: &str,
        _name: Option<&str>,
        _format: Option<&str>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Makes an image.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn create_image(
        &mut self,
        filename: &str,
        format: BlockdevDriver,
        length: u64,
        backing: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        if format != BlockdevDriver::Raw && format != BlockdevDriver::File {
            return Err(Error::new("this machine writes no image formats"));
        }
        if backing.is_some() {
            return Err(Error::new(
                "Backing file not supported for file format 'raw'",
            ));
        }
        let failed = |e| Error::from_io(format!("Could not create '{filename}'"), &e);
        let file = std::fs::File::create(filename).map_err(failed)?;
        file.set_len(length).map_err(failed)
    }
}
