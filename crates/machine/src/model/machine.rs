//! The parts of the machine. [`options`](super::options) makes one; each other file of
//! this room adds the functions about one part.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::accel::Accel;
use super::block::{Blocks, IoLimits, Medium, NbdServer};
use super::board::{MachineClass, Topology};
use super::display::VncServer;
use super::dump::Dump;
use super::global::Global;
use super::input_handlers::InputHandlers;
use super::jobs::Jobs;
use super::key_queue::KeyQueue;
use super::log::LogFile;
use super::migration::Migration;
use super::net::{Network, Stream};
use super::numa::NumaState;
use super::ps2::Ps2;
use super::qdev::HostParts;
use super::qom::{ObjectId, Objects};
use super::qtest::{QtestChannel, QtestState};
use super::runstate::RunStates;
use super::uuid::Uuid;
use qmonitor::chardev::CharFrontend;
use qmonitor::main_loop::{BhId, TimerId, WatchId};
use qmonitor::monitor::MonitorId;
use qmonitor::Profile;

/// The machine.
pub struct Machine {
    /// Which QEMU it behaves like.
    pub profile: Profile,
    /// Its type.
    pub class: &'static MachineClass,
    /// What would run its processors.
    pub accel: Accel,
    /// How many modules of memory it takes, and how much memory it can have, in bytes.
    pub memory_slots: u64,
    #[allow(missing_docs)]
    pub max_ram_size: u64,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its identifier; zero if it has none.
    pub uuid: Uuid,
    /// The types of objects that users can make; `None` for all there are
    /// ([`user_creatable_types`](super::types::user_creatable_types)).
    pub user_types: Option<&'static [&'static str]>,
    /// Its run state.
    pub run: RunStates,
    /// The last argument of `qmp-test`.
    pub test_value: Option<i64>,
    /// Where the log goes.
    pub(crate) log: LogFile,
    /// What its sound devices play on.
    pub(crate) audiodevs: Vec<AudioBackend>,
    /// What the options tell of the host.
    pub(crate) host: HostParts,
    /// Its network back ends.
    pub net: Network,
    /// The sockets of back ends, by their ids.
    pub(crate) streams: HashMap<String, Stream>,
    pub(crate) datagrams: HashMap<String, WatchId>,
    /// The names of adapters, by their devices.
    pub(crate) nics: HashMap<ObjectId, String>,
    /// Nodes of memory and processors.
    pub numa: NumaState,
    /// VNC servers, the newest first.
    pub(crate) vnc: Vec<VncServer>,
    /// Who takes keys and moves of the pointer.
    pub(super) input: InputHandlers,
    /// Keys on their way, and what the board's keyboard has sent.
    pub(crate) keys: KeyQueue,
    pub(crate) ps2: Ps2,
    /// What waits for the system in the machine to answer.
    pub(crate) watchdog: Option<TimerId>,
    /// Moving the machine to another program.
    pub migration: Migration,
    /// The last dump of memory.
    pub dump: Dump,
    pub(super) topology: Topology,
    /// The processors, by number, and the type that all have.
    pub(super) cpus: BTreeMap<usize, ObjectId>,
    /// The processors that human monitors have chosen, by number.
    pub(crate) current_cpus: HashMap<MonitorId, usize>,
    pub(super) cpu_type: Option<&'static str>,
    pub(super) debug_threads: bool,
    /// The processor time that its first processor uses before the machine is ready.
    pub firmware_time: Duration,
    /// Numbers of the next device of the board, and of the next without an id.
    pub(super) devices_unattached: usize,
    pub(super) devices_anonymous: usize,
    /// Commands that have said that they are deprecated; each says so once.
    pub(crate) warned: Vec<&'static str>,
    /// Values for properties of devices to come.
    pub(crate) globals: Vec<Global>,
    /// Devices that are gone, until the event is sent.
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) deletion_timer: Option<TimerId>,
    /// Devices that the system in the machine was asked to let go.
    pub(super) unplug_requests: Vec<ObjectId>,
    pub(super) balloon: Option<ObjectId>,
    /// Long operations.
    pub jobs: Jobs,
    /// What has the loop come back to them: in the next turn, and at a time.
    pub(crate) job_turns: Option<(BhId, TimerId)>,
    /// Block nodes, and the limits of the disks made of them.
    pub blocks: Blocks,
    /// The server of disks, if it runs.
    pub nbd: Option<NbdServer>,
    pub(super) io_limits: HashMap<ObjectId, IoLimits>,
    /// Whether writes to images are dropped (`-snapshot`).
    pub(crate) snapshots: bool,
    /// What clients have done to drives.
    pub(super) media: HashMap<ObjectId, Medium>,
    /// Whether `sync-profile` is on. There is only one thread, so it never
    /// finds anything.
    pub(crate) sync_profile: bool,
    /// What a test has done from outside.
    pub(super) qtest: QtestState,
    /// Where the test is.
    pub(crate) qtest_channel: Option<QtestChannel>,
    /// The chardevs that objects use.
    pub(crate) frontends: HashMap<ObjectId, CharFrontend>,
    /// The monitors that objects stand for.
    pub(crate) monitors: HashMap<ObjectId, MonitorId>,
    pub(super) objects: Objects,
    pub(super) root: ObjectId,
    pub(crate) machine_object: ObjectId,
    pub(super) objects_container: ObjectId,
    pub(super) chardevs_container: ObjectId,
}

/// What sound devices play on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioBackend {
    /// Its name.
    pub id: String,
    /// Its driver.
    pub driver: &'static str,
    /// The package that QEMU lacks for it.
    pub package: Option<&'static str>,
}

/// A device that is gone; its event is still to be sent.
pub(crate) struct Deletion {
    /// Its id.
    pub(crate) name: Option<String>,
    /// Where it was.
    pub(crate) path: String,
}
