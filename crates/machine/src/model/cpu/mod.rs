//! Processors: objects with features and a place, each with a thread of the host.
//!
//! They execute nothing, but are made as in QEMU: a processor gets the features of its
//! model ([`models`]), then the changes of `-cpu`, then its place, and loses the
//! features that an emulator cannot offer ([`features`]).

pub mod features;
mod levels;
pub mod models;

use std::time::Duration;

use crate::model::board::Place;
use crate::model::qdev::DeviceOptions;
use crate::model::qom::{ObjectId, PropertyInput};
use crate::model::thread::HostThread;
use crate::model::Machine;
use models::{find_model, CpuModel};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};
use qmonitor::Profile;

/// Processor time that the first processor uses before it waits, as a real one does
/// for its firmware. virsh treats a domain whose vCPU has used no CPU time as unknown.
/// The kernel counts in hundredths of a second, rounded down.
pub(super) const FIRMWARE_TIME: Duration = Duration::from_millis(20);

/// The option `-cpu`: a model, and changes to it.
#[derive(Clone)]
pub struct CpuOption {
    /// The model.
    pub model: &'static CpuModel,
    /// `name=value`, set before the processor is made.
    settings: Vec<(String, String)>,
    /// `+name` and `-name`, which come last.
    switches: Vec<(String, bool)>,
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
        for part in parts {
            if let Some(feature) = part.strip_prefix('+') {
                option.switches.push((property_name(feature), true));
            } else if let Some(feature) = part.strip_prefix('-') {
                option.switches.push((property_name(feature), false));
            } else {
                let (name, value) = part.split_once('=').unwrap_or((part, "on"));
                option
                    .settings
                    .push((property_name(name), value.to_owned()));
            }
        }
        Ok(option)
    }
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
}

impl Machine {
    /// Makes an object of a model with the features of that, outside of the tree.
    fn cpu_new(&mut self, model: &'static CpuModel) -> ObjectId {
        let id = self.object_new(&model.object);
        let identity = &model.identity;
        let values: [(&str, QObject); 9] = [
            ("vendor", identity.vendor.into()),
            ("family", identity.family.into()),
            ("model", identity.model.into()),
            ("stepping", identity.stepping.into()),
            ("level", identity.level.into()),
            ("xlevel", identity.xlevel.into()),
            ("model-id", identity.model_id.into()),
            ("min-level", identity.level.into()),
            ("min-xlevel", identity.xlevel.into()),
        ];
        for (name, value) in values {
            self.store_by_name(id, name, value);
        }
        let hypervisor = (!model.is_static()).then_some("hypervisor");
        for name in model.features().into_iter().chain(hypervisor) {
            self.store_by_name(id, name, true);
        }
        id
    }

    /// Switches off the features that the emulator does not offer, and returns those it
    /// (`x86_cpu_filter_features`).
    fn filter_features(&mut self, id: ObjectId) -> Vec<&'static features::MissingFeature> {
        let missing = features::missing(self.profile);
        let taken: Vec<_> = missing.filter(|f| self.bool_property(id, f.name)).collect();
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

    /// Switches off the features that cannot be had, and starts the thread.
    fn cpu_start(
        &mut self,
        id: ObjectId,
        index: usize,
        busy: Duration,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
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
    fn cpu_place(&self, id: ObjectId) -> Result<usize, Error> {
        let topology = &self.topology;
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
            Err(Error::new(format!(
                "CPU[{index}] with APIC ID {index} exists"
            )))
        } else {
            Ok(index)
        }
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
