//! Which QEMU the library behaves like.

use std::fmt;
use std::str::FromStr;

use super::json::Dialect;
use super::Error;

/// The version of QEMU whose behaviour clients see, where versions differ. This type
/// decides all such questions; nothing else compares versions.
///
/// ```
/// use qmonitor::Profile;
///
/// let profile: Profile = "11.1".parse().unwrap();
/// assert_eq!(profile.version(), "11.1.3");
/// let error = "9.2".parse::<Profile>().unwrap_err();
/// assert_eq!(error.to_string(), "profile '9.2' is not known: 10.0 and 11.1 are");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Profile {
    /// QEMU 10.0.2.
    #[default]
    V10_0,
    /// QEMU 11.1.3.
    V11_1,
}

impl Profile {
    /// All of them, the oldest first.
    pub const ALL: [Profile; 2] = [Profile::V10_0, Profile::V11_1];

    /// The name: the first two numbers of the version.
    pub fn name(self) -> &'static str {
        match self {
            Profile::V10_0 => "10.0",
            Profile::V11_1 => "11.1",
        }
    }

    /// The version, as `major.minor.micro`.
    pub fn version(self) -> &'static str {
        match self {
            Profile::V10_0 => "10.0.2",
            Profile::V11_1 => "11.1.3",
        }
    }

    /// The version as three numbers: major, minor, micro.
    pub fn version_numbers(self) -> [i64; 3] {
        match self {
            Profile::V10_0 => [10, 0, 2],
            Profile::V11_1 => [11, 1, 3],
        }
    }

    /// Whether every monitor of the command line is an object that can be listed and
    /// deleted, and `-mon` is deprecated.
    pub fn has_monitor_objects(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether types of objects, machines and processors are those of the later tables.
    pub fn has_newer_types(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether a monitor that goes with its client may be on a chardev that others use
    /// too; the chardev then stays for them.
    pub fn deletes_on_shared_chardevs(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether devices have properties for old scripts, which begin with `legacy-` and are
    /// not listed.
    pub fn has_legacy_properties(self) -> bool {
        self < Profile::V11_1
    }

    /// Whether the root of the object tree has a container `audiodevs`.
    pub fn has_audiodevs_container(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether the consoles of chardevs are objects, below `/backend`.
    pub fn has_console_objects(self) -> bool {
        self >= Profile::V11_1
    }

    /// Default factor by which an iothread's polling time grows and shrinks; zero is
    /// the kernel's choice.
    pub fn iothread_poll_factor(self) -> i64 {
        match self {
            Profile::V10_0 => 0,
            Profile::V11_1 => 2,
        }
    }

    /// Whether `reconnect-ms` is refused where a socket does not connect. It took the
    /// place of `reconnect`, of which older QEMUs refuse that.
    pub fn checks_reconnect_ms(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether a chardev of that kind is open as soon as it is made, if QEMUs differ.
    pub fn opens_chardev(self, kind: &str) -> Option<bool> {
        match kind {
            "udp" => Some(self >= Profile::V11_1),
            "testdev" => Some(self < Profile::V11_1),
            _ => None,
        }
    }

    /// Whether chardevs have an option of that name, if some version has it:
    /// `reconnect`, in seconds, `logtimestamp`, or `encoding` of a console.
    pub fn has_chardev_option(self, name: &str) -> bool {
        match name {
            "reconnect" => self < Profile::V11_1,
            "logtimestamp" | "encoding" => self >= Profile::V11_1,
            _ => true,
        }
    }

    /// Whether iothreads have the parameter `poll-weight`.
    pub fn has_poll_weight(self) -> bool {
        self >= Profile::V11_1
    }

    /// The least digits of a physical address in a dump.
    pub fn physical_address_digits(self) -> usize {
        match self {
            Profile::V10_0 => 16,
            Profile::V11_1 => 8,
        }
    }

    /// Whether dumps in octal have the 0 of a number in front of the blanks.
    pub fn has_early_octal_zero(self) -> bool {
        self >= Profile::V11_1
    }

    /// The kind of a region of memory that only holds others, in `info mtree`.
    pub fn container_region(self) -> &'static str {
        match self {
            Profile::V10_0 => "i/o",
            Profile::V11_1 => "container",
        }
    }

    /// Whether texts of HMP show a zero address with its prefix, as `0x0`.
    pub fn prefixes_zero(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether the page of the translator speaks of its profiler.
    pub fn has_jit_profiler(self) -> bool {
        self < Profile::V11_1
    }

    /// Whether each guest's memory can be dumped in the format of Windows. Later ones ask
    /// the guest.
    pub fn offers_win_dump_to_all(self) -> bool {
        self < Profile::V11_1
    }

    /// Whether ACPI tells of processors when it is asked for places.
    pub fn has_cpus_in_acpi(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether `info cpus` tells the model of each processor.
    pub fn shows_cpu_models(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether migration has parameters for the chunks of RDMA and for the program that
    /// takes over, and shows those of one subject together.
    pub fn has_rdma_and_exec_parameters(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether `query-migrate` tells the reason why a machine's state was not taken in. Older
    /// ones print it.
    pub fn explains_failed_loads(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether a refused password of VNC comes with the reason, and the option to set one.
    pub fn explains_vnc_passwords(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether recording sound from HMP is deprecated, and says so.
    pub fn deprecates_capture(self) -> bool {
        self >= Profile::V11_1
    }

    /// Whether a failure of HMP's commands for disks begins with `Error: `, as that of
    /// others does.
    pub fn marks_disk_errors(self) -> bool {
        self >= Profile::V11_1
    }

    /// How errors in JSON are told.
    pub fn dialect(self) -> Dialect {
        match self {
            Profile::V10_0 => Dialect::Qemu10,
            Profile::V11_1 => Dialect::Qemu11,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|p| p.name() == name);
        found.ok_or_else(|| Error::new(format!("profile '{name}' is not known: 10.0 and 11.1 are")))
    }
}
