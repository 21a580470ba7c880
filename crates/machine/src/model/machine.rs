//! The machine: what it has. [`options`](super::options) makes one, and each file of
//! this room adds the functions about its part.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::block::{Blocks, IoLimits};
use super::board::{MachineClass, Topology};
use super::log::LogFile;
use super::migration::Migration;
use super::net::Network;
use super::qom::{ObjectId, Objects};
use super::runstate::RunStates;
use super::uuid::Uuid;
use qmonitor::chardev::CharFrontend;
use qmonitor::main_loop::TimerId;
use qmonitor::monitor::MonitorId;

/// The machine.
pub struct Machine {
    /// Its type.
    pub class: &'static MachineClass,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its identifier; zero if it has none.
    pub uuid: Uuid,
    /// The types of objects that users can make, if these are not all there are
    /// ([`user_creatable_types`](super::types::user_creatable_types)).
    pub user_types: Option<&'static [&'static str]>,
    /// What it is doing.
    pub run: RunStates,
    /// What `qmp-test` was given last.
    pub test_value: Option<i64>,
    /// Where the log goes.
    pub(crate) log: LogFile,
    /// Its network back ends.
    pub net: Network,
    /// How it would be moved to another host.
    pub migration: Migration,
    pub(super) topology: Topology,
    /// The processors, by number, and the type that all have.
    pub(super) cpus: BTreeMap<usize, ObjectId>,
    pub(super) cpu_type: Option<&'static str>,
    pub(super) debug_threads: bool,
    /// How many devices of the board, and of users who gave no id, there were.
    pub(super) devices_unattached: usize,
    pub(super) devices_anonymous: usize,
    /// Devices that were told to go.
    pub(super) unplug_pending: HashSet<ObjectId>,
    /// Devices that went, until clients are told.
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) deletion_timer: Option<TimerId>,
    pub(super) balloon: Option<ObjectId>,
    /// What disks are made of, and how fast they may be.
    pub blocks: Blocks,
    pub(super) io_limits: HashMap<ObjectId, IoLimits>,
    /// Whether `sync-profile` is on. There is only one thread, so it never
    /// finds anything.
    pub(crate) sync_profile: bool,
    /// The chardevs that objects use.
    pub(crate) frontends: HashMap<ObjectId, CharFrontend>,
    /// The monitors that objects stand for.
    pub(crate) monitors: HashMap<ObjectId, MonitorId>,
    pub(super) objects: Objects,
    pub(super) root: ObjectId,
    pub(super) machine_object: ObjectId,
    pub(super) objects_container: ObjectId,
    pub(super) chardevs_container: ObjectId,
}

/// A device that is gone and that clients have not been told of yet.
pub(crate) struct Deletion {
    /// Its id.
    pub(crate) name: Option<String>,
    /// Where it was.
    pub(crate) path: String,
}
