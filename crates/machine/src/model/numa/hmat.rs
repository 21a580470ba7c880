//! How fast processors reach memory (ACPI's Heterogeneous Memory Attribute Table). The
//! table has 16 bits for each value, and one unit for all values of a kind.

use std::collections::BTreeMap;

use super::state::{NumaState, MAX_NODES};
use crate::schema::{
    HmatLBDataType as Kind, HmatLBMemoryHierarchy as Hierarchy, NumaHmatCacheOptions,
    NumaHmatLBOptions,
};
use qmonitor::qapi::Error;

/// The largest value that fits.
const MOST: u64 = 65534;

/// The levels of caches.
const LEVELS: u8 = 3;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Hmat {
    tables: Vec<Table>,
    /// The sizes of caches, by node and level.
    caches: BTreeMap<(u32, u8), u64>,
}

/// The values of one kind.
#[derive(Debug)]
struct Table {
    kind: Kind,
    hierarchy: Hierarchy,
    /// The unit of all values.
    unit: Option<u64>,
    pairs: Vec<(u16, u16)>,
    /// The nodes with a value that is not zero: zero says that a value is not known.
    known: Vec<u16>,
}

fn is_latency(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AccessLatency | Kind::ReadLatency | Kind::WriteLatency
    )
}

/// Checks the nodes that an option is about, and that it has its value.
pub(super) fn check_latency(numa: &NumaState, o: &NumaHmatLBOptions) -> Result<(), Error> {
    let count = numa.nodes.len();
    for (name, id) in [("initiator", o.initiator), ("target", o.target)] {
        if id >= MAX_NODES {
            return Err(Error::new(format!(
                "Invalid {name}={id}, it should be less than {count}"
            )));
        }
    }
    let (initiator, target) = (o.initiator, o.target);
    if !numa.has_cpu(initiator) {
        return Err(Error::new(format!(
            "Invalid initiator={initiator}, it isn't an initiator proximity domain"
        )));
    }
    if numa.node(target).is_none() {
        return Err(Error::new(format!(
            "The target={target} should point to an existing node"
        )));
    }
    let (name, value, other_name, other) = if is_latency(o.data_type) {
        ("latency", o.latency, "bandwidth", o.bandwidth)
    } else {
        ("bandwidth", o.bandwidth, "latency", o.latency)
    };
    if value.is_none() {
        return Err(Error::new(format!("Missing '{name}' option")));
    }
    if other.is_some() {
        return Err(Error::new(format!(
            "Invalid option '{other_name}' since the data type is {name}"
        )));
    }
    Ok(())
}

/// Checks the node that a cache is before.
pub(super) fn check_cache(numa: &NumaState, o: &NumaHmatCacheOptions) -> Result<(), Error> {
    let (id, count) = (o.node_id, numa.nodes.len());
    if id as usize >= count {
        return Err(Error::new(format!(
            "Invalid node-id={id}, it should be less than {count}"
        )));
    }
    Ok(())
}

impl Hmat {
    /// Takes a checked option.
    pub(super) fn add_latency(&mut self, o: &NumaHmatLBOptions) -> Result<(), Error> {
        let (kind, hierarchy) = (o.data_type, o.hierarchy);
        let is_this = |t: &Table| t.kind == kind && t.hierarchy == hierarchy;
        let at = self.tables.iter().position(is_this).unwrap_or_else(|| {
            self.tables.push(Table {
                kind,
                hierarchy,
                unit: None,
                pairs: Vec::new(),
                known: Vec::new(),
            });
            self.tables.len() - 1
        });
        let value = o.latency.or(o.bandwidth).unwrap_or(0);
        self.tables[at].add(o.initiator, o.target, value)
    }

    /// Takes a checked option.
    pub(super) fn add_cache(&mut self, o: &NumaHmatCacheOptions) -> Result<(), Error> {
        let (id, level, size) = (o.node_id, o.level, o.size);
        let is_known = |latency: bool| {
            let mut tables = self.tables.iter().filter(|t| is_latency(t.kind) == latency);
            tables.any(|t| t.known.iter().any(|target| u32::from(*target) == id))
        };
        if !is_known(true) || !is_known(false) {
            return Err(Error::new(format!(
                "The latency and bandwidth information of node-id={id} should be provided before \
                 memory side cache attributes"
            )));
        }
        if level == 0 || level > LEVELS {
            return Err(Error::new(format!(
                "Invalid level={level}, it should be larger than 0 and less than or equal to \
                 {LEVELS}"
            )));
        }
        if self.caches.contains_key(&(id, level)) {
            return Err(Error::new(format!(
                "Duplicate configuration of the side cache for node-id={id} and level={level}"
            )));
        }
        if level > 1 {
            let below = level - 1;
            let Some(smaller) = self.caches.get(&(id, below)) else {
                return Err(Error::new(format!(
                    "Cache level={below} shall be defined first"
                )));
            };
            if size <= *smaller {
                return Err(Error::new(format!(
                    "Invalid size={size}, the size of level={level} should be larger than the \
                     size({smaller}) of level={below}"
                )));
            }
        }
        self.caches.insert((id, level), size);
        Ok(())
    }
}

impl Table {
    fn add(&mut self, initiator: u16, target: u16, value: u64) -> Result<(), Error> {
        let pair = (initiator, target);
        let between = format!("initiator={initiator} and target={target}");
        let name = if is_latency(self.kind) {
            "latency"
        } else {
            "bandwidth"
        };
        if self.pairs.contains(&pair) {
            return Err(Error::new(format!(
                "Duplicate configuration of the {name} for {between}"
            )));
        }
        if value > 0 {
            let unit = if is_latency(self.kind) {
                self.check_latency(value, &between)?
            } else {
                self.check_bandwidth(value, &between)?
            };
            self.unit = Some(unit);
            self.known.push(target);
        }
        self.pairs.push(pair);
        Ok(())
    }

    /// The unit with this latency: a power of ten. As in QEMU, the first value may be
    /// too large for its own.
    fn check_latency(&self, value: u64, between: &str) -> Result<u64, Error> {
        let tens = (0..19).map(|n| 10u64.pow(n));
        let own = tens
            .take_while(|unit| value % unit == 0)
            .last()
            .unwrap_or(1);
        let unit = self.unit.map_or(own, |unit| unit.min(own));
        if self.unit.is_some() && value / unit > MOST {
            return Err(Error::new(format!(
                "Latency {value} between {between} should not differ from previously entered min \
                 or max values on more than {MOST}"
            )));
        }
        Ok(unit)
    }

    /// The unit with this bandwidth: a power of two.
    fn check_bandwidth(&self, value: u64, between: &str) -> Result<u64, Error> {
        const MIB: u64 = 1 << 20;
        if value % MIB != 0 {
            return Err(Error::new(format!(
                "Bandwidth {value} between {between} should be 1MB aligned"
            )));
        }
        let own = 1 << value.trailing_zeros();
        let unit = self.unit.map_or(own, |unit| unit.min(own));
        if value / unit > MOST {
            return Err(Error::new(format!(
                "Bandwidth {value} between {between} should not differ from previously entered \
                 values on more than {MOST}"
            )));
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{HmatCacheAssociativity, HmatCacheWritePolicy};

    fn told(kind: Kind, value: u64) -> NumaHmatLBOptions {
        NumaHmatLBOptions {
            initiator: 0,
            target: 0,
            hierarchy: Hierarchy::Memory,
            data_type: kind,
            latency: is_latency(kind).then_some(value),
            bandwidth: (!is_latency(kind)).then_some(value),
        }
    }

    #[test]
    fn a_cache_needs_a_latency_and_a_bandwidth_that_are_not_zero() {
        let cache = NumaHmatCacheOptions {
            node_id: 0,
            size: 10240,
            level: 1,
            associativity: HmatCacheAssociativity::Direct,
            policy: HmatCacheWritePolicy::WriteBack,
            line: 8,
        };
        for (latency, bandwidth, is_enough) in [
            (0, 1 << 20, false),
            (1, 0, false),
            (0, 0, false),
            (1, 1 << 20, true),
        ] {
            let mut hmat = Hmat::default();
            hmat.add_latency(&told(Kind::AccessLatency, latency))
                .unwrap();
            let width = told(Kind::AccessBandwidth, bandwidth);
            hmat.add_latency(&width).unwrap();
            assert_eq!(
                hmat.add_cache(&cache).is_ok(),
                is_enough,
                "{latency}, {bandwidth}"
            );
        }
    }
}
