//! Processors: objects with features and a place, each with a thread of the host.
//!
//! They execute nothing, but are made as in QEMU: a processor gets the features of its
//! model ([`models`]), then the changes of `-cpu`, then its place, and loses the
//! features that an emulator cannot offer ([`features`]).

pub mod features;
mod levels;
pub mod models;
mod words;

use std::time::Duration;

use crate::model::board::Place;
use crate::model::qdev::DeviceOptions;
use crate::model::qom::{ObjectId, ObjectType, PropertyInput};
use crate::model::thread::HostThread;
use crate::model::Machine;
use models::{find_model, CpuModel};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};
use qmonitor::Profile;

/// Processor time that the first processor uses before it waits, as a real one does
/// for its firmware. virsh treats a domain whose vCPU has used no CPU time as unknown.
/// The kernel counts in hundredths of a second, rounded down.
pub(super) const FIRMWARE_TIME: Duration = Duration::from_millis(20);

/// The model that has all that the emulator offers, and the numbers that the emulator gives it.
const MAX_TYPE: &str = "max-x86_64-cpu";
const MAX_IDENTITY: &[(&str, i64)] = &[("family", 6), ("model", 6), ("stepping", 3)];

/// The option `-cpu`: a model, and changes to it.
#[derive(Clone)]
pub struct CpuOption {
    /// The model.
    pub model: &'static CpuModel,
    /// `name=value`, set before the processor is made.
    settings: Vec<(String, String)>,
    /// `+name` and `-name`, which come last.
    switches: Vec<(String, bool)>,
    /// What is said about both forms of one name.
    warnings: Vec<Error>,
}

impl std::fmt::Debug for CpuOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_tuple(self.model.name);
        debug.field(&self.settings).field(&self.switches).finish()
    }
}

impl CpuOption {
    /// A model as it is.
    pub fn new(model: &'static CpuModel) -> Self {
        CpuOption {
            model,
            settings: Vec::new(),
            switches: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the argument of `-cpu`: `MODEL[,+feature][,-feature][,name[=value]]...`
    ///
    /// # Errors
    ///
    /// There is no such model. Whether it has the properties is seen when the
    /// processor is made.
    pub fn parse(profile: Profile, arg: &str) -> Result<Self, Error> {
        let mut parts = arg.split(',');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() {
            return Err(Error::new("-cpu option cannot be empty"));
        }
        let model = find_model(profile, name)
            .ok_or_else(|| Error::new(format!("unable to find CPU model '{name}'")))?;
        let mut option = CpuOption::new(model);
        for part in parts.filter(|part| !part.is_empty()) {
            if let Some(feature) = part.strip_prefix('+') {
                option.switches.push((property_name(feature), true));
            } else if let Some(feature) = part.strip_prefix('-') {
                option.switches.push((property_name(feature), false));
            } else {
                let (name, value) = part.split_once('=').unwrap_or((part, "on"));
                option.set(property_name(name), value)?;
            }
        }
        // All that is added comes before all that is taken away.
        option.switches.sort_by_key(|(_, on)| !on);
        if !option.warnings.is_empty() {
            option.warnings.push(Error::new(AMBIGUOUS));
        }
        Ok(option)
    }

    fn set(&mut self, name: String, value: &str) -> Result<(), Error> {
        for (_, on) in self.switches.iter().filter(|(other, _)| *other == name) {
            let sign = if *on { '+' } else { '-' };
            self.warnings.push(Error::new(format!(
                "Ambiguous CPU model string. Don't mix both \"{sign}{name}\" and \"{name}={value}\""
            )));
        }
        if name == "tsc-freq" {
            let hertz = metric(value);
            let hertz = hertz.ok_or_else(|| Error::new(format!("bad numerical value {value}")))?;
            let setting = ("tsc-frequency".to_owned(), hertz.to_string());
            self.settings.push(setting);
        } else {
            self.settings.push((name, value.to_owned()));
        }
        Ok(())
    }
}

const AMBIGUOUS: &str =
    "Compatibility of ambiguous CPU model strings won't be kept on future QEMU versions";

/// A number with a unit that stands for thousands, millions and so on.
fn metric(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1_000,
        "M" | "m" => 1_000_000,
        "G" | "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

/// Features may be written with underscores (`feat2prop`).
fn property_name(feature: &str) -> String {
    feature.replace('_', "-")
}

/// A processor in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuInfo {
    /// Its number.
    pub index: usize,
    /// Its object.
    pub id: ObjectId,
    /// Its path in the tree of objects.
    pub path: String,
    /// Its thread on the host.
    pub thread_id: i64,
    /// Where it sits.
    pub place: Place,
    /// The node that it belongs to.
    pub node: Option<u16>,
}

impl Machine {
    /// Makes an object of a model with the features of that, outside of the tree.
    fn cpu_new(&mut self, model: &'static CpuModel) -> ObjectId {
        let id = self.object_new(&model.object);
        let identity = &model.identity;
        // What `max` has rises from nothing.
        let is_max = model.object.name == MAX_TYPE;
        let leaf = |leaf: i64| QObject::from(if is_max { 0 } else { leaf });
        let values: [(&str, QObject); 9] = [
            ("vendor", identity.vendor.into()),
            ("family", identity.family.into()),
            ("model", identity.model.into()),
            ("stepping", identity.stepping.into()),
            ("level", leaf(identity.level)),
            ("xlevel", leaf(identity.xlevel)),
            ("model-id", identity.model_id.into()),
            ("min-level", leaf(identity.level)),
            ("min-xlevel", leaf(identity.xlevel)),
        ];
        for (name, value) in values {
            self.store_by_name(id, name, value);
        }
        let hypervisor = (!model.is_static()).then_some("hypervisor");
        for name in model.features().into_iter().chain(hypervisor) {
            self.store_by_name(id, name, true);
        }
        self.apply_version(id, &model.object);
        id
    }

    /// Whether the version of the machine changes a property.
    fn version_sets(&self, class: &'static ObjectType, property: &str) -> bool {
        let changes = self.class.compat_properties();
        let mut changes = changes.iter().filter(|c| c.property == property);
        changes.any(|c| class.is_a(c.qom_type))
    }

    /// Sets what the version of the machine changes.
    fn apply_version(&mut self, id: ObjectId, class: &'static ObjectType) {
        for change in self.class.compat_properties() {
            if !class.is_a(change.qom_type) {
                continue;
            }
            if let Ok(QObject::String(value)) = qobject_from_json(change.value.as_bytes()) {
                let input = PropertyInput::text(change.property, &value);
                // A property that only KVM has is none here.
                let _ = self.property_set(id, change.property, &input);
            }
        }
    }

    /// Switches off the features that the emulator does not offer, and returns those it
    /// (`x86_cpu_filter_features`).
    fn filter_features(&mut self, id: ObjectId) -> Vec<&'static words::Feature> {
        let taken = words::lacking(self, id);
        for feature in &taken {
            self.store_by_name(id, feature.name, false);
        }
        let names: Vec<QObject> = taken.iter().map(|f| f.name.into()).collect();
        self.store_by_name(id, "unavailable-features", names);
        taken
    }

    fn apply(&mut self, id: ObjectId, option: &CpuOption) -> Result<(), Error> {
        let typename = option.model.object.name;
        for (name, value) in &option.settings {
            let input = PropertyInput::text(name, value);
            self.property_set(id, name, &input).map_err(|e| {
                let desc = e.desc();
                Error::new(format!(
                    "can't apply global {typename}.{name}={value}: {desc}"
                ))
            })?;
        }
        for (name, on) in &option.switches {
            let input = PropertyInput::json(name, (*on).into(), CompatPolicy::default());
            self.property_set(id, name, &input)?;
        }
        Ok(())
    }

    /// Makes a processor, puts it into the tree and starts its thread.
    ///
    /// # Errors
    ///
    /// The model has no such property, needs KVM, or must have all its features;
    /// there can be no more threads.
    pub(crate) fn cpu_create(
        &mut self,
        option: &CpuOption,
        index: usize,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        if option.model.needs_kvm() {
            let name = option.model.name;
            let e = format!("CPU model '{name}' requires KVM or HVF");
            return Err(Error::new(e));
        }
        if index == 0 {
            warnings.extend(option.warnings.iter().cloned());
        }
        let id = self.cpu_new(option.model);
        let result = self.cpu_realize(id, option, index, warnings);
        if result.is_err() {
            self.unparent(id);
        }
        result
    }

    fn cpu_realize(
        &mut self,
        id: ObjectId,
        option: &CpuOption,
        index: usize,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        self.apply(id, option)?;
        self.raise_levels(id, option);
        let place = self.topology.place(index);
        for (name, number) in place.ids() {
            let wanted = self.int_property(id, name);
            if wanted != -1 && wanted != i64::from(number) {
                return Err(Error::new(format!(
                    "property {name}: {wanted} doesn't match set apic-id: 0x{index:x} ({name}: \
                     {number})"
                )));
            }
            self.store_by_name(id, name, i64::from(number));
        }
        let busy = match index {
            0 => self.firmware_time,
            _ => Duration::ZERO,
        };
        self.cpu_start(id, index, busy, warnings)?;
        self.add_unattached(id);
        Ok(())
    }

    /// Sets what follows from the features or from the emulator.
    fn complete_identity(&mut self, id: ObjectId) -> Result<(), Error> {
        let is_max = self.class_name(id) == MAX_TYPE;
        for (name, value) in MAX_IDENTITY.iter().filter(|_| is_max) {
            if self.int_property(id, name) == 0 {
                self.store_by_name(id, name, *value);
            }
        }
        let bits = self.int_property(id, "phys-bits");
        let long = self.bool_property(id, "lm");
        if bits == 0 {
            let wide = self.bool_property(id, "pse36") || self.bool_property(id, "pae");
            let bits = if long {
                40
            } else if wide {
                36
            } else {
                32
            };
            self.store_by_name(id, "phys-bits", bits);
        } else if long && !(32..=52).contains(&bits) {
            return Err(Error::new(format!(
                "phys-bits should be between 32 and 52  (but is {bits})"
            )));
        }
        Ok(())
    }

    /// Switches off the features that cannot be had, and starts the thread.
    fn cpu_start(
        &mut self,
        id: ObjectId,
        index: usize,
        busy: Duration,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        self.complete_identity(id)?;
        let taken = self.filter_features(id);
        let enforce = self.bool_property(id, "enforce");
        if enforce || self.bool_property(id, "check") {
            warnings.extend(taken.iter().map(|f| Error::new(f.warning(self.profile))));
        }
        if enforce && !taken.is_empty() {
            return Err(Error::new("TCG doesn't support requested features"));
        }
        let name = self.debug_threads.then(|| format!("CPU {index}/TCG"));
        let thread = HostThread::start(name, busy)?;
        self.set_realized(id);
        self.set_payload(id, thread);
        self.cpus.insert(index, id);
        Ok(())
    }

    /// Plugs in a processor (`device_add`): its properties say where.
    ///
    /// # Errors
    ///
    /// It has another type than the other processors, or its place is taken or does not
    /// exist.
    pub(crate) fn cpu_plug(
        &mut self,
        model: &'static CpuModel,
        options: &DeviceOptions,
        policy: CompatPolicy,
    ) -> Result<ObjectId, Error> {
        let typename = model.object.name;
        if let Some(wanted) = self.cpu_type.filter(|wanted| *wanted != typename) {
            return Err(Error::new(format!(
                "Invalid CPU type, expected cpu type: '{wanted}'"
            )));
        }
        let id = self.cpu_new(model);
        let result = self
            .name_device(id, options)
            .and_then(|()| self.set_device_properties(id, options, policy))
            .and_then(|()| self.cpu_place(id))
            .and_then(|index| self.cpu_start(id, index, Duration::ZERO, &mut Vec::new()));
        match result {
            Ok(()) => {
                self.store_by_name(id, "hotplugged", true);
                Ok(id)
            }
            Err(e) => {
                self.unparent(id);
                Err(e)
            }
        }
    }

    /// The number of the place that a new processor's properties name
    /// (`x86_cpu_pre_plug`).
    fn cpu_place(&mut self, id: ObjectId) -> Result<usize, Error> {
        let topology = self.topology;
        let levels = [
            ("socket-id", topology.sockets),
            ("die-id", topology.dies),
            ("module-id", topology.modules),
            ("core-id", topology.cores),
            ("thread-id", topology.threads),
        ];
        let mut index = 0;
        for (name, count) in levels {
            let wanted = self.int_property(id, name);
            let (optional, last) = (matches!(name, "die-id" | "module-id"), count - 1);
            let number = match u32::try_from(wanted) {
                Err(_) if optional && count == 1 => 0,
                Err(_) => return Err(Error::new(format!("CPU {name} is not set"))),
                Ok(number) if number <= last => number,
                Ok(_) => {
                    let desc = format!("Invalid CPU {name}: {wanted} must be in range 0:{last}");
                    return Err(Error::new(desc));
                }
            };
            index = index * count as usize + number as usize;
        }
        if self.cpus.contains_key(&index) {
            return Err(Error::new(format!(
                "CPU[{index}] with APIC ID {index} exists"
            )));
        }
        self.cpu_check_node(id, index)?;
        Ok(index)
    }

    /// Checks that a new processor names the node of its place, or none.
    fn cpu_check_node(&mut self, id: ObjectId, index: usize) -> Result<(), Error> {
        let Some(node) = self.numa.node_of_cpu(index).map(i64::from) else {
            return Ok(());
        };
        match self.int_property(id, "node-id") {
            -1 => self.store_by_name(id, "node-id", node),
            wanted if wanted != node => {
                return Err(Error::new(format!("invalid node-id, must be {node}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// The processors, by number.
    pub fn cpus(&self) -> Vec<CpuInfo> {
        let info = |(&index, &id): (&usize, &ObjectId)| {
            let thread: &HostThread = self.payload(id)?;
            Some(CpuInfo {
                index,
                id,
                path: self.canonical_path(id),
                thread_id: thread.id(),
                place: self.topology.place(index),
                node: self.numa.node_of_cpu(index),
            })
        };
        self.cpus.iter().filter_map(info).collect()
    }
}

/// Writes out all properties of a model with changes
/// (`qmp_query_cpu_model_expansion`).
///
/// # Errors
///
/// There is no such model or property, or the property does not take the value.
pub fn expand_model(
    m: &mut Machine,
    name: &str,
    changes: &QDict,
    policy: CompatPolicy,
) -> Result<QDict, Error> {
    let model = find_model(m.profile, name)
        .ok_or_else(|| Error::new(format!("CPU model '{name}' not found")))?;
    let id = m.cpu_new(model);
    let result = changes.iter().try_for_each(|(name, value)| {
        let path = format!("model.props.{name}");
        let input = PropertyInput::json(&path, value.clone(), policy);
        m.property_set(id, name, &input)
    });
    let profile = m.profile;
    let written = features::PROPERTIES
        .iter()
        .filter(|p| p.set.is_some() && p.is_in(profile));
    let expanded = written
        .filter_map(|p| Some((p.name, m.property(id, p.name)?)))
        .collect();
    m.unparent(id);
    result.map(|()| expanded)
}
