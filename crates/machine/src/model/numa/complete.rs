//! The nodes checked together, once all options are known, and their page.

use super::cpus::check_initiator;
use super::state::NumaNode;
use crate::model::Machine;
use qmonitor::qapi::Error;

impl Machine {
    /// Checks the nodes together, and gives each processor one.
    ///
    /// # Errors
    ///
    /// A node or a distance is missing, or the memory of the nodes is not that of the machine.
    pub fn numa_complete(&mut self, warnings: &mut Vec<Error>) -> Result<(), Error> {
        if self.numa.nodes.is_empty() {
            // Memory that is plugged in needs a node to go to.
            if self.memory_slots == 0 || !self.class.has_node_for_modules() {
                return Ok(());
            }
            self.numa.nodes.push(NumaNode {
                id: 0,
                size: self.ram_size(),
                memory: None,
                initiator: None,
            });
        }
        self.check_node_numbers()?;
        self.check_node_memory()?;
        self.check_distances()?;
        self.numa_place_cpus(warnings);
        self.check_initiators()?;
        for (index, cpu) in self.cpus.clone() {
            if let Some(node) = self.numa.node_of_cpu(index) {
                self.store_by_name(cpu, "node-id", i64::from(node));
            }
        }
        Ok(())
    }

    fn check_node_numbers(&self) -> Result<(), Error> {
        let last = self.numa.nodes.last().map_or(0, |node| node.id);
        let missing = (0..last).rev().find(|id| self.numa.node(*id).is_none());
        match missing {
            Some(id) => Err(Error::new(format!("numa: Node ID missing: {id}"))),
            None => Ok(()),
        }
    }

    /// Checks that the nodes share out all of the memory, and none of it twice. If they bring
    /// it, the machine does not get any of its own.
    fn check_node_memory(&mut self) -> Result<(), Error> {
        let total: u64 = self.numa.nodes.iter().map(|n| n.size).sum();
        let own = self.main_memory();
        let size = own.and_then(|id| self.backend_size(id)).unwrap_or(0);
        if total != size {
            return Err(Error::new(format!(
                "total memory for NUMA nodes (0x{total:x}) should equal RAM size (0x{size:x})"
            )));
        }
        let memory: Vec<_> = self.numa.memory().collect();
        if memory.is_empty() {
            return Ok(());
        }
        for (at, id) in memory.iter().enumerate() {
            if memory[..at].contains(id) {
                let name = self.object(*id).map_or("", |object| object.name());
                return Err(Error::new(format!(
                    "memory backend {name} can't be used multiple times."
                )));
            }
        }
        if let Some(id) = own {
            if self.object(id).map(|o| o.name()) != Some(self.class.default_ram_id) {
                return Err(Error::new(
                    "'-machine memory-backend' and '-numa memdev' properties are mutually \
                     exclusive",
                ));
            }
            self.unparent(id);
        }
        Ok(())
    }

    fn check_distances(&self) -> Result<(), Error> {
        let (nodes, given) = (&self.numa.nodes, &self.numa.distances);
        if given.is_empty() {
            return Ok(());
        }
        let mut is_symmetric = true;
        let mut complete = true;
        for a in nodes {
            for b in nodes.iter().filter(|b| b.id > a.id) {
                let there = given.get(&(a.id, b.id));
                let back = given.get(&(b.id, a.id));
                if there.is_none() && back.is_none() {
                    return Err(Error::new(format!(
                        "The distance between node {} and {} is missing, at least one distance \
                         value between each nodes should be provided.",
                        a.id, b.id
                    )));
                }
                complete &= there.is_some() && back.is_some();
                is_symmetric &= there.is_none() || back.is_none() || there == back;
            }
        }
        if is_symmetric || complete {
            return Ok(());
        }
        Err(Error::new(
            "At least one asymmetrical pair of distances is given, please provide distances for \
             both directions of all node pairs.",
        ))
    }

    /// Checks the nodes that reach others best: they have processors, and those reach
    /// their own node best.
    fn check_initiators(&self) -> Result<(), Error> {
        for node in self.numa.cpus.values() {
            check_initiator(*node, self.numa.node(*node).and_then(|node| node.initiator))?;
        }
        for node in &self.numa.nodes {
            if node.initiator.is_some_and(|id| !self.numa.has_cpu(id)) {
                let desc = format!("The initiator of NUMA node {} is invalid", node.id);
                return Err(Error::new(desc));
            }
        }
        Ok(())
    }

    /// The text of `info numa`.
    pub fn numa_text(&self) -> String {
        let mut text = format!("{} nodes\n", self.numa.nodes.len());
        for node in &self.numa.nodes {
            let id = node.id;
            let is_here = |cpu: &&usize| self.numa.node_of_cpu(**cpu) == Some(id);
            let cpus = self.cpus.keys().filter(is_here);
            let cpus: String = cpus.map(|cpu| format!(" {cpu}")).collect();
            let plugged = self.plugged_memory_of_node(id);
            text += &format!("node {id} cpus:{cpus}\n");
            text += &format!("node {id} size: {} MB\n", (node.size + plugged) >> 20);
            text += &format!("node {id} plugged: {} MB\n", plugged >> 20);
        }
        text
    }
}
