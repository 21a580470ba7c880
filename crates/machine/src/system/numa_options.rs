//! The argument of `-numa`, read as QEMU's visitor for options reads it.

use std::cell::RefCell;
use std::str::FromStr;

use super::option_groups::NUMA_OPTS;
use crate::schema::{
    NumaCpuOptions, NumaDistOptions, NumaHmatCacheOptions, NumaHmatLBOptions, NumaNodeOptions,
    NumaOptions,
};
use qmonitor::qapi::visit::parse_size;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;

/// The most numbers in a range.
const LONGEST_RANGE: u64 = 65536;

/// Reads an argument.
///
/// # Errors
///
/// An option is missing, unknown, or has the wrong form.
pub(super) fn numa_options(arg: &str, warnings: &mut Vec<Error>) -> Result<NumaOptions, Error> {
    let opts = QemuOpts::parse(&NUMA_OPTS, arg, warnings)?;
    let v = Reader {
        opts: &opts,
        read: RefCell::new(vec!["type"]),
    };
    let kind = opts.get("type").ok_or_else(|| missing("type"))?;
    let options = match kind {
        "node" => NumaOptions::Node(NumaNodeOptions {
            nodeid: v.uint("nodeid")?,
            cpus: v.ranges("cpus")?,
            mem: v.mebibytes("mem")?,
            memdev: v.text("memdev").map(str::to_owned),
            initiator: v.uint("initiator")?,
        }),
        "dist" => NumaOptions::Dist(NumaDistOptions {
            src: needed("src", v.uint("src"))?,
            dst: needed("dst", v.uint("dst"))?,
            val: needed("val", v.uint("val"))?,
        }),
        "cpu" => NumaOptions::Cpu(NumaCpuOptions {
            node_id: v.int("node-id")?,
            drawer_id: v.int("drawer-id")?,
            book_id: v.int("book-id")?,
            socket_id: v.int("socket-id")?,
            die_id: v.int("die-id")?,
            cluster_id: v.int("cluster-id")?,
            module_id: v.int("module-id")?,
            core_id: v.int("core-id")?,
            thread_id: v.int("thread-id")?,
        }),
        "hmat-lb" => NumaOptions::HmatLb(NumaHmatLBOptions {
            initiator: needed("initiator", v.uint("initiator"))?,
            target: needed("target", v.uint("target"))?,
            hierarchy: needed("hierarchy", v.word("hierarchy"))?,
            data_type: needed("data-type", v.word("data-type"))?,
            latency: v.uint("latency")?,
            bandwidth: v.size("bandwidth")?,
        }),
        "hmat-cache" => NumaOptions::HmatCache(NumaHmatCacheOptions {
            node_id: needed("node-id", v.uint("node-id"))?,
            size: needed("size", v.size("size"))?,
            level: needed("level", v.uint("level"))?,
            associativity: needed("associativity", v.word("associativity"))?,
            policy: needed("policy", v.word("policy"))?,
            line: needed("line", v.uint("line"))?,
        }),
        kind => {
            return Err(Error::new(format!(
                "Parameter 'type' does not accept value '{kind}'"
            )));
        }
    };
    v.check_all_read()?;
    Ok(options)
}

fn missing(name: &str) -> Error {
    Error::new(format!("Parameter '{name}' is missing"))
}

fn needed<T>(name: &str, value: Result<Option<T>, Error>) -> Result<T, Error> {
    value?.ok_or_else(|| missing(name))
}

/// Reads options one by one, and knows which were read.
struct Reader<'a> {
    opts: &'a QemuOpts,
    read: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &'static str) -> Option<&'a str> {
        self.read.borrow_mut().push(name);
        self.opts.get(name)
    }

    fn uint<T: TryFrom<u64>>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = unsigned(text).ok_or_else(|| expects(name, "a uint64 value"))?;
        fitting(name, number).map(Some)
    }

    fn int(&self, name: &'static str) -> Result<Option<i64>, Error> {
        let number = |text: &str| match text.strip_prefix('-') {
            Some(digits) => unsigned(digits).and_then(|n| 0i64.checked_sub_unsigned(n)),
            None => unsigned(text).and_then(|n| i64::try_from(n).ok()),
        };
        let read = |text| number(text).ok_or_else(|| expects(name, "an int64 value"));
        self.text(name).map(read).transpose()
    }

    fn size(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let read = |text| parse_size(text).map_err(|_| expects(name, "a size value"));
        self.text(name).map(read).transpose()
    }

    /// A size that is in MiB if it has no unit.
    fn mebibytes(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let has_unit = |text: &str| !text.ends_with(|c: char| c.is_ascii_digit());
        let (text, size) = (self.text(name), self.size(name)?);
        let scale = if text.is_none_or(has_unit) {
            1
        } else {
            1 << 20
        };
        let scaled = |size: u64| {
            size.checked_mul(scale)
                .ok_or_else(|| expects(name, "a size value"))
        };
        size.map(scaled).transpose()
    }

    fn word<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            text.parse().map_err(|_| {
                Error::new(format!("Parameter '{name}' does not accept value '{text}'"))
            })
        };
        self.text(name).map(read).transpose()
    }

    /// Numbers and ranges `FIRST-LAST`, given any number of times.
    fn ranges(&self, name: &'static str) -> Result<Option<Vec<u16>>, Error> {
        self.read.borrow_mut().push(name);
        let given = self.opts.iter().filter(|(other, _)| *other == name);
        let mut numbers = Vec::new();
        let mut any = false;
        for (_, text) in given {
            any = true;
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let wrong = || expects(name, "a uint64 value or range");
            let (first, last) = unsigned(first).zip(unsigned(last)).ok_or_else(wrong)?;
            if first > last || last - first >= LONGEST_RANGE {
                return Err(wrong());
            }
            for number in first..=last {
                // In QEMU elements of a list have no name.
                numbers.push(fitting("null", number)?);
            }
        }
        Ok(any.then_some(numbers))
    }

    fn check_all_read(&self) -> Result<(), Error> {
        let read = self.read.borrow();
        let mut names = self.opts.iter().map(|(name, _)| name);
        match names.find(|name| !read.contains(name)) {
            Some(name) => Err(Error::new(format!("Invalid parameter '{name}'"))),
            None => Ok(()),
        }
    }
}

fn expects(name: &str, what: &str) -> Error {
    Error::new(format!("Parameter '{name}' expects {what}"))
}

fn fitting<T: TryFrom<u64>>(name: &str, number: u64) -> Result<T, Error> {
    let bits = 8 * size_of::<T>();
    T::try_from(number).map_err(|_| expects(name, &format!("uint{bits}_t")))
}

/// A number in C notation.
fn unsigned(text: &str) -> Option<u64> {
    let number = crate::model::qtest::c_number(text);
    number.filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arg: &str) -> Result<NumaOptions, Error> {
        numa_options(arg, &mut Vec::new())
    }

    #[test]
    fn ranges_and_sizes() {
        let Ok(NumaOptions::Node(node)) = read("node,cpus=1-3,cpus=7,mem=2") else {
            panic!("a node");
        };
        assert_eq!(node.cpus, Some(vec![1, 2, 3, 7]));
        assert_eq!(node.mem, Some(2 << 20));
        let Ok(NumaOptions::Node(node)) = read("node,mem=1G") else {
            panic!("a node");
        };
        assert_eq!((node.cpus, node.mem), (None, Some(1 << 30)));
    }

    #[test]
    fn errors_name_the_culprit() {
        for (arg, desc) in [
            ("", "Parameter 'type' is missing"),
            ("foo", "Parameter 'type' does not accept value 'foo'"),
            ("node,foo=1", "Invalid parameter 'foo'"),
            (
                "node,nodeid=-1",
                "Parameter 'nodeid' expects a uint64 value",
            ),
            ("node,nodeid=65536", "Parameter 'nodeid' expects uint16_t"),
            ("node,cpus=65536", "Parameter 'null' expects uint16_t"),
            (
                "node,cpus=3-1",
                "Parameter 'cpus' expects a uint64 value or range",
            ),
            ("node,mem=x", "Parameter 'mem' expects a size value"),
            (
                "cpu,node-id=x",
                "Parameter 'node-id' expects an int64 value",
            ),
            ("dist,src=0,dst=1", "Parameter 'val' is missing"),
            (
                "dist,src=0,dst=1,val=256",
                "Parameter 'val' expects uint8_t",
            ),
        ] {
            assert_eq!(read(arg).unwrap_err().desc(), desc, "{arg}");
        }
    }
}
