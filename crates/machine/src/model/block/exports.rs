//! Exports: nodes that a server offers to others.

/// A node that is offered.
#[derive(Debug, Clone)]
pub struct Export {
    /// Its name for commands.
    pub id: String,
    /// Its name for clients of the server.
    pub name: String,
    #[allow(missing_docs)]
    pub node: String,
    #[allow(missing_docs)]
    pub description: Option<String>,
    /// Whether clients may write.
    pub writable: bool,
    /// The names of the bitmaps that clients may ask.
    pub bitmaps: Vec<String>,
    /// Whether clients may ask in which image of a chain bytes are.
    pub allocation_depth: bool,
}

/// All exports, the oldest first.
#[derive(Debug, Default)]
pub struct Exports(pub(super) Vec<Export>);

impl Exports {
    /// All of them, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Export> {
        self.0.iter()
    }

    /// The one with that name for commands.
    pub fn get(&self, id: &str) -> Option<&Export> {
        self.0.iter().find(|export| export.id == id)
    }

    /// The one with that name for clients.
    pub fn named(&self, name: &str) -> Option<&Export> {
        self.0.iter().find(|export| export.name == name)
    }

    /// Whether one offers a node.
    pub fn uses(&self, node: &str) -> bool {
        self.0.iter().any(|export| export.node == node)
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, id: &str) -> Option<Export> {
        let at = self.0.iter().position(|export| export.id == id)?;
        Some(self.0.remove(at))
    }

    pub(super) fn replace_node(&mut self, from: &str, to: &str) {
        for export in &mut self.0 {
            if export.node == from {
                export.node = to.to_owned();
            }
        }
    }
}
