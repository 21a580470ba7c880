//! How many processors there are, and how they are arranged (`-smp`).

use crate::schema::SMPConfiguration;
use qmonitor::qapi::Error;

use super::MachineClass;

/// The arrangement of a PC's processors: sockets hold dies, these modules,
/// these cores, and these threads (QEMU's `CpuTopology`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// How many processors there are at the start.
    pub cpus: u32,
    /// How many there can be; the product of all that follow.
    pub max_cpus: u32,
    /// Sockets of the board.
    pub sockets: u32,
    /// Dies in a socket.
    pub dies: u32,
    /// Modules of a die.
    pub modules: u32,
    /// Cores of a module.
    pub cores: u32,
    /// Threads of a core.
    pub threads: u32,
}

impl Default for Topology {
    fn default() -> Self {
        Topology {
            cpus: 1,
            max_cpus: 1,
            sockets: 1,
            dies: 1,
            modules: 1,
            cores: 1,
            threads: 1,
        }
    }
}

/// Where a processor sits. The middle levels have a number only where there can be
/// more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the socket.
    pub socket: u32,
    /// Number of the die in it.
    pub die: Option<u32>,
    /// Number of the module in that.
    pub module: Option<u32>,
    /// Number of the core in that.
    pub core: u32,
    /// Number of the thread in that.
    pub thread: u32,
}

impl Place {
    /// The numbers under the names of properties.
    pub fn ids(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let ids = [
            ("socket-id", Some(self.socket)),
            ("die-id", self.die),
            ("module-id", self.module),
            ("core-id", Some(self.core)),
            ("thread-id", Some(self.thread)),
        ];
        ids.into_iter().filter_map(|(name, id)| Some((name, id?)))
    }
}

impl Topology {
    /// Completes the numbers that the user gave (`machine_parse_smp_config`). The
    /// number of cores follows from the others, or else the number of sockets; any
    /// other missing number is 1.
    ///
    /// # Errors
    ///
    /// A number is zero, the numbers contradict one another, or the machine
    /// cannot have that.
    pub fn complete(config: &SMPConfiguration, class: &MachineClass) -> Result<Self, Error> {
        let given = [
            config.cpus,
            config.drawers,
            config.books,
            config.sockets,
            config.dies,
            config.clusters,
            config.modules,
            config.cores,
            config.threads,
            config.maxcpus,
        ];
        if given.into_iter().flatten().any(|n| n == 0) {
            return Err(Error::new(
                "Invalid CPU topology: CPU topology parameters must be greater than zero",
            ));
        }
        // QEMU takes it as a number without a sign, and shows 32 bits of it with one.
        if let Some(number) = given.into_iter().flatten().find(|n| *n < 0) {
            return Err(Error::new(format!(
                "Invalid SMP CPUs {}. The max CPUs supported by machine '{}' is {}",
                number as i32, class.name, class.cpu_max
            )));
        }
        let levels = [
            ("drawers", config.drawers, false),
            ("books", config.books, false),
            ("dies", config.dies, class.is_pc()),
            ("clusters", config.clusters, false),
            ("modules", config.modules, class.is_pc()),
        ];
        for (level, number, supported) in levels {
            if !supported && number.is_some_and(|n| n > 1) {
                return Err(Error::new(format!(
                    "{level} > 1 not supported by this machine's CPU topology"
                )));
            }
        }
        let numbers = Numbers {
            cpus: config.cpus.unwrap_or(0),
            max: config.maxcpus.unwrap_or(0),
            sockets: config.sockets.unwrap_or(0),
            dies: config.dies.unwrap_or(1),
            modules: config.modules.unwrap_or(1),
            cores: config.cores.unwrap_or(0),
            threads: config.threads.unwrap_or(0),
        };
        numbers.complete(class)
    }

    /// Where the processor of that number sits: threads count fastest.
    pub fn place(&self, index: usize) -> Place {
        let mut rest = u32::try_from(index).unwrap_or(u32::MAX);
        let mut digit = |base: u32| {
            let digit = rest % base;
            rest /= base;
            digit
        };
        let (thread, core) = (digit(self.threads), digit(self.cores));
        let (module, die) = (digit(self.modules), digit(self.dies));
        Place {
            socket: rest,
            die: (self.dies > 1).then_some(die),
            module: (self.modules > 1).then_some(module),
            core,
            thread,
        }
    }
}

/// The numbers while they are completed; zero is not known yet. They are
/// multiplied with 64 bits and without overflow: none is more than that.
struct Numbers {
    cpus: i64,
    max: i64,
    sockets: i64,
    dies: i64,
    modules: i64,
    cores: i64,
    threads: i64,
}

impl Numbers {
    fn complete(mut self, class: &MachineClass) -> Result<Topology, Error> {
        if self.cpus == 0 && self.max == 0 {
            for number in [&mut self.sockets, &mut self.cores, &mut self.threads] {
                *number = (*number).max(1);
            }
        } else {
            self.max = if self.max > 0 { self.max } else { self.cpus };
            self.complete_product();
        }
        let product = self.product();
        self.max = if self.max > 0 { self.max } else { product };
        self.cpus = if self.cpus > 0 { self.cpus } else { self.max };
        let levels = format!(
            "sockets ({}) * {}cores ({}) * threads ({})",
            self.sockets,
            if class.is_pc() {
                format!("dies ({}) * modules ({}) * ", self.dies, self.modules)
            } else {
                String::new()
            },
            self.cores,
            self.threads
        );
        if product != self.max {
            return Err(Error::new(format!(
                "Invalid CPU topology: product of the hierarchy must match maxcpus: \
                 {levels} != maxcpus ({})",
                self.max
            )));
        }
        if self.max < self.cpus {
            return Err(Error::new(format!(
                "Invalid CPU topology: maxcpus must be equal to or greater than smp: \
                 {levels} == maxcpus ({}) < smp_cpus ({})",
                self.max, self.cpus
            )));
        }
        for number in [self.cpus, self.max] {
            if number > i64::from(class.cpu_max) {
                return Err(Error::new(format!(
                    "Invalid SMP CPUs {number}. The max CPUs supported by machine '{}' is {}",
                    class.name, class.cpu_max
                )));
            }
        }
        self.narrow()
    }

    /// One of sockets, cores and threads follows from the others: cores if they
    /// are missing, else sockets, else threads.
    fn complete_product(&mut self) {
        let per = self.dies.saturating_mul(self.modules);
        if self.cores == 0 {
            self.sockets = self.sockets.max(1);
            self.threads = self.threads.max(1);
            let rest = per
                .saturating_mul(self.sockets)
                .saturating_mul(self.threads);
            self.cores = self.max / rest;
        } else if self.sockets == 0 {
            self.threads = self.threads.max(1);
            let rest = per.saturating_mul(self.cores).saturating_mul(self.threads);
            self.sockets = self.max / rest;
        }
        if self.threads == 0 {
            let rest = per.saturating_mul(self.sockets).saturating_mul(self.cores);
            self.threads = self.max.checked_div(rest).unwrap_or(0);
        }
    }

    fn product(&self) -> i64 {
        let levels = [self.dies, self.modules, self.cores, self.threads];
        levels.into_iter().fold(self.sockets, i64::saturating_mul)
    }

    /// No number is greater than their product, which the class of the machine limits.
    fn narrow(self) -> Result<Topology, Error> {
        let narrow = |n: i64| u32::try_from(n).map_err(|_| Error::new("Invalid CPU topology"));
        Ok(Topology {
            cpus: narrow(self.cpus)?,
            max_cpus: narrow(self.max)?,
            sockets: narrow(self.sockets)?,
            dies: narrow(self.dies)?,
            modules: narrow(self.modules)?,
            cores: narrow(self.cores)?,
            threads: narrow(self.threads)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{find_class, NONE};
    use super::*;
    use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
    use qmonitor::qapi::CompatPolicy;

    fn smp(class: &MachineClass, text: &str) -> Result<Topology, Error> {
        let dict = keyval_parse(text, Some("cpus")).unwrap();
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        let config = SMPConfiguration::visit_in(&mut v, "")?;
        Topology::complete(&config, class)
    }

    #[test]
    fn missing_numbers_are_completed() {
        let pc = find_class(qmonitor::Profile::V10_0, "pc").unwrap();
        for (text, cpus, levels) in [
            ("1", (1, 1), [1, 1, 1, 1, 1]),
            ("4", (4, 4), [1, 1, 1, 4, 1]),
            ("sockets=2", (2, 2), [2, 1, 1, 1, 1]),
            (
                "1,maxcpus=2,sockets=2,cores=1,threads=1",
                (1, 2),
                [2, 1, 1, 1, 1],
            ),
            ("8,cores=2,threads=2", (8, 8), [2, 1, 1, 2, 2]),
            ("8,sockets=2,cores=2", (8, 8), [2, 1, 1, 2, 2]),
            ("4,dies=2", (4, 4), [1, 2, 1, 2, 1]),
            ("4,modules=2", (4, 4), [1, 1, 2, 2, 1]),
        ] {
            let t = smp(pc, text).unwrap();
            assert_eq!((t.cpus, t.max_cpus), cpus, "{text}");
            let got = [t.sockets, t.dies, t.modules, t.cores, t.threads];
            assert_eq!(got, levels, "{text}");
        }
    }

    #[test]
    fn contradictions_are_told_in_qemus_words() {
        let pc = find_class(qmonitor::Profile::V10_0, "pc").unwrap();
        for (class, text, desc) in [
            (
                pc,
                "0",
                "Invalid CPU topology: CPU topology parameters must be greater than zero",
            ),
            (
                pc,
                "2,sockets=1,cores=1,threads=1",
                "Invalid CPU topology: product of the hierarchy must match maxcpus: \
                 sockets (1) * dies (1) * modules (1) \
                 * cores (1) * threads (1) != maxcpus (2)",
            ),
            (
                pc,
                "3,maxcpus=2",
                "Invalid CPU topology: maxcpus must be equal to or greater than smp: \
                 sockets (1) * dies (1) * modules (1) \
                 * cores (2) * threads (1) == maxcpus (2) < smp_cpus (3)",
            ),
            (
                pc,
                "5,cores=2",
                "Invalid CPU topology: product of the hierarchy must match maxcpus: \
                 sockets (2) * dies (1) * modules (1) \
                 * cores (2) * threads (1) != maxcpus (5)",
            ),
            (
                pc,
                "300",
                "Invalid SMP CPUs 300. The max CPUs supported by machine 'pc-i440fx-10.0' is \
                 255",
            ),
            (
                &NONE,
                "2",
                "Invalid SMP CPUs 2. The max CPUs supported by machine 'none' is 1",
            ),
            (
                pc,
                "2,clusters=2",
                "clusters > 1 not supported by this machine's CPU topology",
            ),
        ] {
            assert_eq!(smp(class, text).unwrap_err().desc(), desc, "{text}");
        }
        let huge = "1,sockets=9223372036854775807,cores=9223372036854775807";
        assert!(smp(pc, huge).is_err());
    }

    #[test]
    fn threads_count_fastest_and_middle_levels_are_told_if_there_are_several() {
        let pc = find_class(qmonitor::Profile::V10_0, "pc").unwrap();
        let ids = |text, index| -> Vec<_> {
            smp(pc, text)
                .unwrap()
                .place(index)
                .ids()
                .map(|(_, id)| id)
                .collect()
        };
        assert_eq!(ids("8,sockets=2,cores=2,threads=2", 5), [1, 0, 1]);
        assert_eq!(ids("8,sockets=2,dies=2,threads=2", 7), [1, 1, 0, 1]);
    }
}
