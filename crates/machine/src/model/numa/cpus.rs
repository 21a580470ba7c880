//! Which node a processor belongs to.

use super::state::MAX_NODES;
use crate::model::board::Place;
use crate::model::Machine;
use crate::schema::NumaCpuOptions;
use qmonitor::qapi::Error;

impl Machine {
    /// Puts the places that the options describe into a node.
    pub(super) fn numa_set_cpu(&mut self, options: &NumaCpuOptions) -> Result<(), Error> {
        let id = options
            .node_id
            .ok_or_else(|| Error::new("Missing mandatory node-id property"))?;
        let node = u16::try_from(id).ok().filter(|id| *id < MAX_NODES);
        let Some(node) = node.filter(|id| self.numa.node(*id).is_some()) else {
            return Err(Error::new(format!(
                "Invalid node-id={id}, NUMA node must be defined with -numa node,nodeid=ID \
                 before it's used with -numa cpu,node-id=ID"
            )));
        };
        let places = (0..self.topology().max_cpus as usize).map(|at| self.topology().place(at));
        let places: Vec<Place> = places.collect();
        let mut matching = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if is_meant(place, options)? {
                matching.push(index);
            }
        }
        if matching.is_empty() {
            return Err(Error::new("no match found"));
        }
        check_initiator(node, self.numa.node(node).and_then(|node| node.initiator))?;
        matching
            .into_iter()
            .try_for_each(|index| self.numa_put_cpu(index, node))
    }

    /// Puts the place with that number into a node.
    pub(super) fn numa_set_cpu_number(
        &mut self,
        index: usize,
        node: u16,
        initiator: Option<u16>,
    ) -> Result<(), Error> {
        let max = self.topology().max_cpus;
        if index >= max as usize {
            return Err(Error::new(format!(
                "CPU index ({index}) should be smaller than maxcpus ({max})"
            )));
        }
        check_initiator(node, initiator)?;
        self.numa_put_cpu(index, node)
    }

    fn numa_put_cpu(&mut self, index: usize, node: u16) -> Result<(), Error> {
        match self.numa.cpus.insert(index, node) {
            Some(other) if other != node => {
                self.numa.cpus.insert(index, other);
                Err(Error::new(format!(
                    "CPU is already assigned to node-id: {other}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Gives each place a node that has none: by its socket, or the first node if the options
    /// name other places. Those are warned of.
    pub(super) fn numa_place_cpus(&mut self, warnings: &mut Vec<Error>) {
        let by_socket = self.numa.cpus.is_empty();
        let count = self.numa.nodes.len() as u32;
        let mut forgotten = Vec::new();
        for index in 0..self.topology().max_cpus as usize {
            if self.numa.cpus.contains_key(&index) {
                continue;
            }
            let place = self.topology().place(index);
            if !by_socket {
                let ids = place
                    .ids()
                    .map(|(name, number)| format!("{name}: {number}"));
                let ids: Vec<String> = ids.collect();
                forgotten.push(format!("CPU {index} [{}]", ids.join(", ")));
            }
            let node = if by_socket { place.socket % count } else { 0 };
            self.numa.cpus.insert(index, node as u16);
        }
        if !forgotten.is_empty() {
            let list = forgotten.join(", ");
            let desc = format!("CPU(s) not present in any NUMA nodes: {list}");
            warnings.push(Error::new(desc));
            warnings.push(Error::new(
                "All CPU(s) up to maxcpus should be described in NUMA config, ability to start \
                 up with partial NUMA mappings is obsoleted and will be removed in future",
            ));
        }
    }
}

/// Checks that the processors of a node reach their own node best.
pub(super) fn check_initiator(node: u16, initiator: Option<u16>) -> Result<(), Error> {
    match initiator.filter(|other| *other != node) {
        None => Ok(()),
        Some(other) => Err(Error::new(format!(
            "The initiator of CPU NUMA node {node} should be itself (got {other})"
        ))),
    }
}

/// Whether the options describe this place.
fn is_meant(place: &Place, options: &NumaCpuOptions) -> Result<bool, Error> {
    let levels = [
        ("cluster-id", options.cluster_id, None),
        ("module-id", options.module_id, place.module),
        ("die-id", options.die_id, place.die),
        ("socket-id", options.socket_id, Some(place.socket)),
        ("core-id", options.core_id, Some(place.core)),
        ("thread-id", options.thread_id, Some(place.thread)),
    ];
    let mut all = true;
    for (name, wanted, has) in levels {
        match (wanted, has) {
            (Some(_), None) => return Err(Error::new(format!("{name} is not supported"))),
            (Some(wanted), Some(has)) => all &= wanted == i64::from(has),
            (None, _) => {}
        }
    }
    Ok(all)
}
