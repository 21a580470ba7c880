//! Which user of a node writes it. A node has one writer; a view of a node writes that as soon
//! as something writes the view.

use super::graph::Blocks;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A user of a node, as errors name it: who, as which child, and what it needs.
struct User {
    who: String,
    role: &'static str,
    needs: &'static str,
}

impl User {
    fn node(name: &str, needs: &'static str) -> Self {
        User {
            who: format!("node '{name}'"),
            role: "file",
            needs,
        }
    }

    fn device(name: &str) -> Self {
        User {
            who: format!("block device '{name}'"),
            role: "root",
            needs: "write",
        }
    }
}

fn conflict(node: &str, old: &User, new: &User) -> Error {
    let needs = if new.needs == "write" {
        new.needs
    } else {
        old.needs
    };
    Error::new(format!(
        "Permission conflict on node '{node}': permissions '{needs}' are both required by {} \
         (uses node '{node}' as '{}' child) and unshared by {} (uses node '{node}' as '{}' \
         child).",
        old.who, old.role, new.who, new.role
    ))
}

impl Blocks {
    /// Checks that an image may have its clusters in a node: nothing writes those of another
    /// image.
    pub(super) fn check_image(
        &self,
        node: &str,
        image: &str,
        read_only: bool,
    ) -> Result<(), Error> {
        let Some(other) = self.image_in(node).filter(|other| other.name != image) else {
            return Ok(());
        };
        let old = User::node(&other.name, "write, resize");
        let new = User::node(image, "write, resize");
        match (other.read_only, read_only) {
            (false, _) => Err(conflict(node, &old, &new)),
            (true, false) => Err(conflict(node, &new, &old)),
            (true, true) => Ok(()),
        }
    }
}

impl Machine {
    /// Checks that a new device may write a node and what that shows.
    ///
    /// # Errors
    ///
    /// Something else writes one of these nodes.
    pub(super) fn check_writers(&self, node: &str, device: &str) -> Result<(), Error> {
        let mut new = User::device(device);
        let mut name = node.to_owned();
        let mut above = None;
        loop {
            if let Some(old) = self.writer(&name, above.as_deref()) {
                return Err(conflict(&name, &old, &new));
            }
            let shown = self.blocks.node(&name).and_then(|node| {
                let id = node.shown()?;
                Some(self.blocks.name_of(id).to_owned())
            });
            let Some(shown) = shown else {
                return Ok(());
            };
            new = User::node(&name, "write");
            above = Some(std::mem::replace(&mut name, shown));
        }
    }

    /// Checks that a new image may have its clusters in a node.
    ///
    /// # Errors
    ///
    /// Something else writes that node.
    pub(crate) fn check_new_image(&self, node: &str, image: &str) -> Result<(), Error> {
        let new = User::node(image, "write, resize");
        self.writer(node, None)
            .map_or(Ok(()), |old| Err(conflict(node, &old, &new)))
    }

    /// What writes a node, except one of its users.
    fn writer(&self, node: &str, except: Option<&str>) -> Option<User> {
        for (parent, role) in self.blocks.parents(node) {
            if role != "file" || except == Some(&*parent.name) {
                continue;
            }
            if parent.qcow2().is_some() && !parent.read_only {
                return Some(User::node(&parent.name, "write, resize"));
            }
            if parent.shown().is_some() && self.writer(&parent.name, None).is_some() {
                return Some(User::node(&parent.name, "write"));
            }
        }
        let device = self.drive_user(node)?;
        Some(User::device(&self.drive_name(device)))
    }
}
