//! Nodes of memory and processors (`-numa`).

use super::machine::Machine;
use super::numa_node::NumaNode;
use super::qom::ObjectId;
use qmonitor::qapi::visit::parse_size;
use qmonitor::qapi::{Error, QDict};

/// The most nodes that there can be.
const MAX_NODES: u32 = 128;

impl Machine {
    /// Carries out one `-numa`, with the numbers of processors in `cpus`.
    ///
    /// # Errors
    ///
    /// The machine has no nodes, or an option is wrong.
    pub fn numa_set(&mut self, options: &QDict, cpus: &[&str]) -> Result<(), Error> {
        let kind = options.get_str("type").unwrap_or_default();
        if !["node", "dist", "cpu", "hmat-lb", "hmat-cache"].contains(&kind) {
            return Err(Error::new(format!(
                "Parameter 'type' does not accept value '{kind}'"
            )));
        }
        if !self.class.is_pc() {
            return Err(Error::new("NUMA is not supported by this machine-type"));
        }
        match kind {
            "node" => self.numa_add_node(options, cpus),
            "dist" => {
                let known = |name| {
                    let id = number(options, name).ok().flatten();
                    self.numa.iter().any(|node| Some(node.id) == id)
                };
                if known("src") && known("dst") {
                    return Ok(());
                }
                Err(Error::new(
                    "Source/Destination NUMA node is missing. Please use '-numa node' option to \
                     declare it first.",
                ))
            }
            "cpu" => {
                let id = number(options, "node-id")?
                    .ok_or_else(|| Error::new("Missing mandatory node-id property"))?;
                if self.numa.iter().any(|node| node.id == id) {
                    return Ok(());
                }
                Err(Error::new(format!(
                    "Invalid node-id={id}, NUMA node must be defined with -numa node,nodeid=ID \
                     before it's used with -numa cpu,node-id=ID"
                )))
            }
            _ => Err(Error::new(
                "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with \
                 -machine hmat=on before using any of hmat specific options",
            )),
        }
    }

    fn numa_add_node(&mut self, options: &QDict, cpus: &[&str]) -> Result<(), Error> {
        let next = (0..).find(|id| self.numa.iter().all(|node| node.id != *id));
        let id = number(options, "nodeid")?.or(next).unwrap_or(0);
        if id >= MAX_NODES {
            return Err(Error::new(format!(
                "Max number of NUMA nodes reached: {id}"
            )));
        }
        if self.numa.iter().any(|node| node.id == id) {
            return Err(Error::new(format!("Duplicate NUMA nodeid: {id}")));
        }
        let (mem, memdev) = (options.get_str("mem"), options.get_str("memdev"));
        if mem.is_some() && memdev.is_some() {
            return Err(Error::new("cannot specify both mem= and memdev="));
        }
        let size = match (mem, memdev) {
            (Some(_), _) if !self.class.numa_mem_supported() => {
                return Err(Error::new(
                    "Parameter -numa node,mem is not supported by this machine type",
                )
                .with_hint("Use -numa node,memdev instead\n"));
            }
            (Some(text), _) => memory(text)?,
            (None, Some(name)) => {
                let object: Option<ObjectId> = self.user_object(name);
                let size = object.and_then(|object| self.backend_size(object));
                size.ok_or_else(|| Error::new(format!("memdev={name} is ambiguous")))?
            }
            (None, None) => 0,
        };
        let cpus = cpus
            .iter()
            .map(|range| processors(range))
            .collect::<Result<Vec<_>, _>>()?;
        self.numa.push(NumaNode {
            id,
            size,
            cpus: cpus.concat(),
        });
        self.numa.sort_by_key(|node| node.id);
        Ok(())
    }

    /// Checks the nodes together, and gives each processor one.
    ///
    /// # Errors
    ///
    /// Their memory is not that of the machine.
    pub fn numa_complete(&mut self) -> Result<(), Error> {
        if self.numa.is_empty() {
            return Ok(());
        }
        let (total, ram): (u64, u64) = (self.numa.iter().map(|n| n.size).sum(), self.ram_size());
        if total != ram {
            return Err(Error::new(format!(
                "total memory for NUMA nodes (0x{total:x}) should equal RAM size (0x{ram:x})"
            )));
        }
        let nodes = self.numa.len();
        for cpu in 0..self.topology().cpus as usize {
            if self.numa.iter().all(|node| !node.cpus.contains(&cpu)) {
                self.numa[cpu % nodes].cpus.push(cpu);
            }
        }
        Ok(())
    }

    /// The text of `info numa`.
    pub fn numa_text(&self) -> String {
        let mut text = format!("{} nodes\n", self.numa.len());
        for node in &self.numa {
            let id = node.id;
            let present = node.cpus.iter().filter(|cpu| self.cpus.contains_key(cpu));
            let cpus: String = present.map(|cpu| format!(" {cpu}")).collect();
            text += &format!("node {id} cpus:{cpus}\n");
            text += &format!("node {id} size: {} MB\n", node.size >> 20);
            text += &format!("node {id} plugged: 0 MB\n");
        }
        text
    }
}

fn number(options: &QDict, name: &str) -> Result<Option<u32>, Error> {
    let Some(text) = options.get_str(name) else {
        return Ok(None);
    };
    let bad = |_| Error::new(format!("Parameter '{name}' expects a number"));
    text.parse().map(Some).map_err(bad)
}

/// A size, in MiB if it says nothing else.
fn memory(text: &str) -> Result<u64, Error> {
    let bad = || Error::new("Parameter 'mem' expects a size");
    let size = parse_size(text).map_err(|_| bad())?;
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        size.checked_mul(1 << 20).ok_or_else(bad)
    } else {
        Ok(size)
    }
}

/// `N` or `FIRST-LAST`.
fn processors(range: &str) -> Result<Vec<usize>, Error> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let bad = |_| Error::new("Parameter 'cpus' expects an uint64 value or range");
    let (first, last): (usize, usize) = (first.parse().map_err(bad)?, last.parse().map_err(bad)?);
    Ok((first..=last.min(first + 4096)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_sizes() {
        assert_eq!(processors("1-3").unwrap(), [1, 2, 3]);
        assert_eq!(processors("7").unwrap(), [7]);
        assert!(processors("a").is_err());
        assert_eq!(memory("2").unwrap(), 2 << 20);
        assert_eq!(memory("1G").unwrap(), 1 << 30);
    }
}
