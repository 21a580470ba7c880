//! Dirty bitmaps of nodes, as clients make and change them.

use super::granules::{Bitmap, Granules};
use super::graph::{not_found, Blocks};
use super::sha256::sha256;
use qmonitor::qapi::Error;

/// Longest name of a bitmap.
const NAME_MAX: usize = 1023;

/// A bitmap to make.
#[derive(Debug, Clone)]
pub struct NewBitmap {
    #[allow(missing_docs)]
    pub name: String,
    /// The size of a granule; by default that of a cluster.
    pub granularity: Option<u32>,
    /// Whether it is kept in the image.
    pub persistent: bool,
    /// Whether it records nothing yet.
    pub disabled: bool,
}

impl Bitmap {
    /// Checks that a client may change it.
    fn check_free(&self) -> Result<(), Error> {
        let name = self.name.as_deref().unwrap_or_default();
        if self.busy {
            return Err(Error::new(format!(
                "Bitmap '{name}' is currently in use by another operation and cannot be used"
            )));
        }
        Ok(())
    }

    fn check_usable(&self) -> Result<(), Error> {
        self.check_free()?;
        let name = self.name.as_deref().unwrap_or_default();
        if self.inconsistent {
            return Err(Error::new(format!(
                "Bitmap '{name}' is inconsistent and cannot be used"
            ))
            .with_hint("Try block-dirty-bitmap-remove to delete this bitmap from disk\n"));
        }
        Ok(())
    }
}

fn no_bitmap(name: &str) -> Error {
    Error::new(format!("Dirty bitmap '{name}' not found"))
}

impl Blocks {
    /// Makes a bitmap.
    ///
    /// # Errors
    ///
    /// There is no such node, the name is bad or in use, or the image cannot keep it.
    pub fn bitmap_add(&mut self, name: &str, new: &NewBitmap) -> Result<(), Error> {
        let node = self.node(name).ok_or_else(|| not_found(name, name))?;
        if new.name.is_empty() {
            return Err(Error::new("Bitmap name cannot be empty"));
        }
        let cluster = node.qcow2().map_or(65536, |q| q.header.cluster_size());
        let default = u32::try_from(cluster.clamp(4096, 65536)).unwrap_or(65536);
        let granularity = new.granularity.unwrap_or(default);
        if granularity < 512 || !granularity.is_power_of_two() {
            return Err(Error::new(
                "Granularity must be power of 2 and at least 512",
            ));
        }
        if new.persistent {
            self.check_persistent(name, &new.name)?;
        }
        let node = self.node(name).ok_or_else(|| not_found(name, name))?;
        if node.bitmap(&new.name).is_some() {
            return Err(Error::new(format!("Bitmap already exists: {}", new.name)));
        }
        if new.name.len() > NAME_MAX {
            return Err(Error::new(format!("Bitmap name too long: {}", new.name)));
        }
        let set = Granules::new(granularity, self.length(name));
        let bitmap = Bitmap {
            name: Some(new.name.clone()),
            owner: None,
            set,
            enabled: !new.disabled,
            persistent: new.persistent,
            busy: false,
            inconsistent: false,
        };
        if let Some(node) = self.node_mut(name) {
            node.bitmaps.insert(0, bitmap);
        }
        Ok(())
    }

    /// Checks that a node can keep a bitmap.
    fn check_persistent(&self, name: &str, bitmap: &str) -> Result<(), Error> {
        let node = self.node(name).ok_or_else(|| not_found(name, name))?;
        let Some(image) = node.qcow2() else {
            return Err(Error::new(format!(
                "Can't store persistent bitmaps to {name}: Operation not supported"
            )));
        };
        let failed = |why: &str| {
            Err(Error::new(format!(
                "Can't make bitmap '{bitmap}' persistent in '{name}': {why}"
            )))
        };
        if image.header.version < 3 {
            return failed("Cannot store dirty bitmaps in qcow2 v2 files");
        }
        if node.bitmap(bitmap).is_some() {
            return Err(Error::new(format!("Bitmap already exists: {bitmap}")));
        }
        if bitmap.len() > NAME_MAX {
            return failed("Name length exceeds maximum (1023 characters)");
        }
        Ok(())
    }

    /// The bitmap of a node.
    ///
    /// # Errors
    ///
    /// There is no such node or bitmap.
    pub fn bitmap(&self, node: &str, name: &str) -> Result<&Bitmap, Error> {
        let missing = || Error::new(format!("Node '{node}' not found"));
        let node = self.node(node).ok_or_else(missing)?;
        node.bitmap(name).ok_or_else(|| no_bitmap(name))
    }

    fn bitmap_to_change(&mut self, node: &str, name: &str) -> Result<&mut Bitmap, Error> {
        self.bitmap(node, name)?.check_usable()?;
        let node = self.node_mut(node).ok_or_else(|| no_bitmap(name))?;
        node.bitmap_mut(name).ok_or_else(|| no_bitmap(name))
    }

    /// Takes a bitmap away, from the image as well.
    ///
    /// # Errors
    ///
    /// There is none, it is in use, or the image cannot be written.
    pub fn bitmap_remove(&mut self, node: &str, name: &str) -> Result<(), Error> {
        let bitmap = self.bitmap(node, name)?;
        bitmap.check_free()?;
        let stored = bitmap.persistent;
        let id = self.id(node).ok_or_else(|| no_bitmap(name))?;
        if stored {
            let removed = self.with_image(id, |q, file| q.remove_bitmap(file, name));
            removed.map_err(|e| {
                Error::from_io(format!("Failed to remove bitmap '{name}' from file"), &e)
            })?;
        }
        if let Some(node) = self.node_mut(node) {
            node.bitmaps.retain(|b| b.name.as_deref() != Some(name));
        }
        Ok(())
    }

    /// Empties a bitmap.
    ///
    /// # Errors
    ///
    /// There is none, or it is in use.
    pub fn bitmap_clear(&mut self, node: &str, name: &str) -> Result<(), Error> {
        self.bitmap_to_change(node, name)?.set.clear();
        Ok(())
    }

    /// Has a bitmap record writes, or not.
    ///
    /// # Errors
    ///
    /// There is none, or it is in use.
    pub fn bitmap_enable(&mut self, node: &str, name: &str, enabled: bool) -> Result<(), Error> {
        self.bitmap_to_change(node, name)?.enabled = enabled;
        Ok(())
    }

    /// Adds bitmaps, each of a node, to another one.
    ///
    /// # Errors
    ///
    /// One is missing or in use, or their disks have other sizes. Nothing is changed then.
    pub fn bitmap_merge(
        &mut self,
        node: &str,
        target: &str,
        sources: &[(String, String)],
    ) -> Result<(), Error> {
        let mut set = self.bitmap_to_change(node, target)?.set.clone();
        for (node, name) in sources {
            let source = self.bitmap(node, name)?;
            source.check_usable()?;
            if source.set.length() != set.length() {
                return Err(Error::new(format!(
                    "Bitmaps are of different sizes (destination size is {}, source size is {}) \
                     and can't be merged",
                    set.length(),
                    source.set.length()
                )));
            }
            set.merge(&source.set);
        }
        self.bitmap_to_change(node, target)?.set = set;
        Ok(())
    }

    /// The digest of what a bitmap has.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn bitmap_sha256(&self, node: &str, name: &str) -> Result<String, Error> {
        let words = self.bitmap(node, name)?.set.words();
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.resize(bytes.len().max(8), 0);
        Ok(sha256(&bytes))
    }
}
