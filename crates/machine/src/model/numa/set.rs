//! One option `-numa`, or one `set-numa-node`.

use super::hmat::{check_cache, check_latency};
use super::state::{NumaNode, MAX_NODES};
use crate::model::Machine;
use crate::schema::{NumaDistOptions, NumaNodeOptions, NumaOptions};
use qmonitor::qapi::Error;

const MEM_DEPRECATED: &str =
    "Parameter -numa node,mem is deprecated, use -numa node,memdev instead";

impl Machine {
    /// Whether the machine can have nodes at all.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub(crate) fn check_numa(&self) -> Result<(), Error> {
        if self.class.is_pc() {
            return Ok(());
        }
        Err(Error::new("NUMA is not supported by this machine-type"))
    }

    /// Carries out one option.
    ///
    /// # Errors
    ///
    /// The machine has no nodes, or the option is wrong.
    pub fn numa_set(
        &mut self,
        options: &NumaOptions,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        self.check_numa()?;
        match options {
            NumaOptions::Node(node) => self.numa_add_node(node, warnings),
            NumaOptions::Dist(dist) => self.numa_set_distance(dist),
            NumaOptions::Cpu(cpu) => self.numa_set_cpu(cpu),
            NumaOptions::HmatLb(lb) => {
                self.check_hmat()?;
                let numa = &mut self.numa;
                check_latency(numa, lb)?;
                numa.hmat.add_latency(lb)
            }
            NumaOptions::HmatCache(cache) => {
                self.check_hmat()?;
                let numa = &mut self.numa;
                check_cache(numa, cache)?;
                numa.hmat.add_cache(cache)
            }
        }
    }

    fn check_hmat(&self) -> Result<(), Error> {
        if self.bool_property(self.machine_object, "hmat") {
            return Ok(());
        }
        Err(Error::new(
            "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with \
             -machine hmat=on before using any of hmat specific options",
        ))
    }

    fn numa_add_node(
        &mut self,
        options: &NumaNodeOptions,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let id = options.nodeid.unwrap_or(self.numa.nodes.len() as u16);
        if id >= MAX_NODES {
            return Err(Error::new(format!(
                "Max number of NUMA nodes reached: {id}"
            )));
        }
        if self.numa.node(id).is_some() {
            return Err(Error::new(format!("Duplicate NUMA nodeid: {id}")));
        }
        if options.initiator.is_some() {
            self.check_hmat()?;
        }
        if let Some(initiator) = options.initiator.filter(|id| *id >= MAX_NODES) {
            return Err(Error::new(format!(
                "The initiator id {initiator} expects an integer between 0 and {}",
                MAX_NODES - 1
            )));
        }
        for index in options.cpus.iter().flatten() {
            self.numa_set_cpu_number(usize::from(*index), id, options.initiator)?;
        }
        let node = self.numa_memory(id, options, warnings)?;
        self.numa.nodes.push(node);
        self.numa.nodes.sort_by_key(|node| node.id);
        Ok(())
    }

    /// The node with the memory that it has.
    fn numa_memory(
        &self,
        id: u16,
        options: &NumaNodeOptions,
        warnings: &mut Vec<Error>,
    ) -> Result<NumaNode, Error> {
        let mut node = NumaNode {
            id,
            size: options.mem.unwrap_or(0),
            memory: None,
            initiator: options.initiator,
        };
        let nodes = &self.numa.nodes;
        let by_objects = nodes.iter().any(|node| node.memory.is_some());
        let by_sizes = nodes.iter().any(|n| n.memory.is_none() && n.size > 0);
        if options.mem.is_some() && by_objects || options.memdev.is_some() && by_sizes {
            return Err(Error::new(
                "numa configuration should use either mem= or memdev=,mixing both is not allowed",
            ));
        }
        if options.mem.is_some() && options.memdev.is_some() {
            return Err(Error::new("cannot specify both mem= and memdev="));
        }
        if options.mem.is_some() {
            if !self.class.numa_mem_supported() {
                return Err(Error::new(
                    "Parameter -numa node,mem is not supported by this machine type",
                )
                .with_hint("Use -numa node,memdev instead\n"));
            }
            warnings.push(Error::new(MEM_DEPRECATED));
        }
        if let Some(name) = &options.memdev {
            let object = self.user_object(name);
            let size = object.and_then(|object| self.backend_size(object));
            node.size = size.ok_or_else(|| Error::new(format!("memdev={name} is ambiguous")))?;
            node.memory = object;
        }
        Ok(node)
    }

    fn numa_set_distance(&mut self, options: &NumaDistOptions) -> Result<(), Error> {
        let NumaDistOptions { src, dst, val } = *options;
        for (name, node) in [("src", src), ("dst", dst)] {
            if node >= MAX_NODES {
                return Err(Error::new(format!(
                    "Parameter '{name}' expects an integer between 0 and {}",
                    MAX_NODES - 1
                )));
            }
        }
        if self.numa.node(src).is_none() || self.numa.node(dst).is_none() {
            return Err(Error::new(
                "Source/Destination NUMA node is missing. Please use '-numa node' option to \
                 declare it first.",
            ));
        }
        if val < LOCAL {
            return Err(Error::new(format!(
                "NUMA distance ({val}) is invalid, it shouldn't be less than {LOCAL}."
            )));
        }
        if src == dst && val != LOCAL {
            return Err(Error::new(format!(
                "Local distance of node {src} should be {LOCAL}."
            )));
        }
        self.numa.distances.insert((src, dst), val);
        Ok(())
    }
}

/// The distance of a node to itself.
const LOCAL: u8 = 10;
