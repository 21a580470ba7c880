//! Operations on nodes that their users refuse to others.

use super::graph::Blocks;
use super::node::{BlockOp, Blocker};
use qmonitor::qapi::Error;

impl Blocks {
    /// Has a user refuse all operations on a node but some.
    pub fn block_ops(&mut self, node: &str, owner: &str, reason: &str, except: &[BlockOp]) {
        let Some(id) = self.id(node) else {
            return;
        };
        self.refused.entry(owner.to_owned()).or_default().push(id);
        self.nodes.entry(id).and_modify(|node| {
            node.blockers.push(Blocker {
                owner: owner.to_owned(),
                reason: reason.to_owned(),
                except: except.to_vec(),
            });
        });
    }

    /// Takes back everything that a user refuses, and returns the nodes that it was about,
    /// the newest first.
    pub fn unblock_ops(&mut self, owner: &str) -> Vec<String> {
        let mut ids = self.refused.remove(owner).unwrap_or_default();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        let mut names = Vec::new();
        for id in ids {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.blockers.retain(|blocker| blocker.owner != owner);
                names.push(node.name.clone());
            }
        }
        names
    }

    /// Checks that no user refuses an operation.
    ///
    /// # Errors
    ///
    /// One does; the error has its words.
    pub fn check_op(&self, name: &str, op: BlockOp) -> Result<(), Error> {
        self.refused_op(name, op).map_or(Ok(()), |reason| {
            Err(Error::new(format!("Node '{name}' is busy: {reason}")))
        })
    }

    /// Why an operation on a node is refused, if it is: a job uses the node, or an image has
    /// its data there.
    pub(crate) fn refused_op(&self, name: &str, op: BlockOp) -> Option<String> {
        use BlockOp::{BackupSource, BackupTarget, CommitTarget, Stream};
        let blockers = self.node(name).map_or(&[][..], |node| &node.blockers);
        if let Some(blocker) = blockers.iter().find(|b| !b.except.contains(&op)) {
            return Some(blocker.reason.clone());
        }
        if matches!(op, BackupSource | BackupTarget | CommitTarget | Stream) {
            return None;
        }
        let mut parents = self.parents(name);
        let (image, _) = parents.find(|(node, role)| *role == "backing" && !node.is_filter())?;
        Some(format!("node is used as backing hd of '{}'", image.name))
    }
}
