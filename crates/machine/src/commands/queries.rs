//! Questions about subsystems that this machine does not have, or has in one state only.
//! They are answered as QEMU answers them about a machine without such things.

use crate::model::net::Client;
use crate::model::qdev::{product, DeviceClass};
use crate::model::AudioBackend;
use crate::schema::{
    ACPIOSTInfo, ACPISlotType, AnnounceParameters, AudioFormat, Audiodev, AudiodevBranch,
    AudiodevGenericOptions, AudiodevPerDirectionOptions, BlockExportInfo, BlockJobInfo,
    DisplayOptions, DisplayOptionsBranch, GuidInfo, HumanReadableText, HvBalloonInfo,
    MemoryDeviceInfo, PRManagerInfo, QCryptodevInfo, QueriesAudioCommands, QueriesBlockCommands,
    QueriesHostCommands, QueriesMemoryCommands, QueriesTextCommands, QueriesUiCommands,
    RxFilterInfo, RxState, SGXInfo, SetPasswordAction, SetPasswordOptions,
    SetPasswordOptionsBranch, SevGuestInfo, SevInfo, SevInfoBranch, SevState, SpiceInfo,
    SpiceQueryMouseMode, TPMInfo, VirtioInfo, VncInfo2,
};
use crate::Machine;
use qmonitor::qapi::{Error, ErrorClass};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl QueriesAudioCommands for Machine {
    /// All are shown as the kind that makes no sound, with QEMU's defaults.
    fn qmp_query_audiodevs(rt: &mut Rt) -> Result<Vec<Audiodev>, Error> {
        let direction = || {
            Some(AudiodevPerDirectionOptions {
                mixing_engine: Some(true),
                fixed_settings: Some(true),
                frequency: Some(44_100),
                channels: Some(2),
                voices: Some(1),
                format: Some(AudioFormat::S16),
                buffer_length: None,
            })
        };
        let audiodev = |backend: &AudioBackend| Audiodev {
            id: backend.id.clone(),
            timer_period: Some(10_000),
            u: AudiodevBranch::None(AudiodevGenericOptions {
                r#in: direction(),
                out: direction(),
            }),
        };
        Ok(rt.state.audiodevs.iter().map(audiodev).collect())
    }
}

impl QueriesBlockCommands for Machine {
    fn qmp_query_block_jobs(rt: &mut Rt) -> Result<Vec<BlockJobInfo>, Error> {
        Ok(super::block_jobs::infos(&rt.state))
    }

    fn qmp_query_block_exports(rt: &mut Rt) -> Result<Vec<BlockExportInfo>, Error> {
        Ok(super::exports::infos(&rt.state))
    }

    fn qmp_block_job_cancel(rt: &mut Rt, device: String, force: Option<bool>) -> Result<(), Error> {
        let force = force.unwrap_or(false);
        super::jobs::on_block_job(rt, &device, |m, key| m.block_job_cancel(key, force))
    }

    fn qmp_eject(
        rt: &mut Rt,
        device: Option<String>,
        id: Option<String>,
        _force: Option<bool>,
    ) -> Result<(), Error> {
        super::block_media::eject(rt, device, id)
    }
}

impl QueriesHostCommands for Machine {
    fn qmp_query_tpm(_: &mut Rt) -> Result<Vec<TPMInfo>, Error> {
        Ok(Vec::new())
    }

    /// Only adapters of virtio tell.
    fn qmp_query_rx_filter(rt: &mut Rt, name: Option<String>) -> Result<Vec<RxFilterInfo>, Error> {
        let clients = rt.state.net.clients();
        let named: Vec<&Client> = clients
            .filter(|client| name.as_ref().is_none_or(|name| client.id == *name))
            .collect();
        if let (Some(name), []) = (&name, &named[..]) {
            return Err(Error::new(format!("invalid net client name: {name}")));
        }
        let tells = |client: &&&Client| client.is_nic() && client.info.contains("model=virtio");
        if let (Some(name), false) = (&name, named.iter().any(|c| tells(&c))) {
            let nic = named.iter().any(|client| client.is_nic());
            return Err(Error::new(if nic {
                format!("net client({name}) doesn't support rx-filter querying")
            } else {
                format!("net client({name}) isn't a NIC")
            }));
        }
        Ok(named.iter().filter(tells).map(|c| rx_filter(c)).collect())
    }

    fn qmp_query_pr_managers(_: &mut Rt) -> Result<Vec<PRManagerInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_query_cryptodev(rt: &mut Rt) -> Result<Vec<QCryptodevInfo>, Error> {
        Ok(super::statistics::query_cryptodev(&rt.state))
    }

    fn qmp_announce_self(_: &mut Rt, _: AnnounceParameters) -> Result<(), Error> {
        Ok(())
    }
}

impl QueriesMemoryCommands for Machine {
    fn qmp_query_memory_devices(rt: &mut Rt) -> Result<Vec<MemoryDeviceInfo>, Error> {
        Ok(super::memory_devices::infos(&rt.state))
    }

    fn qmp_query_acpi_ospm_status(rt: &mut Rt) -> Result<Vec<ACPIOSTInfo>, Error> {
        if rt.state.class.has_acpi() {
            let mut places = super::memory_devices::slots(&rt.state);
            places.extend(processor_places(&rt.state));
            return Ok(places);
        }
        let desc = "command is not supported, missing ACPI device";
        Err(Error::new(desc))
    }

    fn qmp_query_sev(_: &mut Rt) -> Result<SevInfo, Error> {
        let (policy, handle) = (0, 0);
        Ok(SevInfo {
            enabled: false,
            api_major: 0,
            api_minor: 0,
            build_id: 0,
            state: SevState::Uninit,
            u: SevInfoBranch::Sev(SevGuestInfo { policy, handle }),
        })
    }

    fn qmp_query_sgx(rt: &mut Rt) -> Result<SGXInfo, Error> {
        Err(Error::new(if rt.state.class.is_pc() {
            "No EPC regions defined, SGX not available"
        } else {
            "SGX is only supported on PC machines"
        }))
    }

    fn qmp_query_vm_generation_id(_: &mut Rt) -> Result<GuidInfo, Error> {
        Err(Error::new("VM Generation ID device not found"))
    }

    fn qmp_query_hv_balloon_status_report(_: &mut Rt) -> Result<HvBalloonInfo, Error> {
        Err(Error::new("no hv-balloon device present"))
    }
}

impl QueriesTextCommands for Machine {
    fn qmp_x_query_numa(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text(&rt.state.numa_text()))
    }

    /// A reset of a PC raises the timer's line once.
    fn qmp_x_query_irq(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text(&super::interrupts::statistics(&rt.state)))
    }

    fn qmp_x_query_usb(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text(&usb_page(&rt.state)?))
    }

    fn qmp_x_query_ramblock(rt: &mut Rt) -> Result<HumanReadableText, Error> {
        Ok(text(&ramblock_page(&rt.state)))
    }

    fn qmp_x_query_virtio(rt: &mut Rt) -> Result<Vec<VirtioInfo>, Error> {
        let devices = virtio_devices(&rt.state);
        if devices.is_empty() {
            return Err(Error::new("No virtio devices found"));
        }
        Ok(devices)
    }
}

impl QueriesUiCommands for Machine {
    fn qmp_query_vnc_servers(rt: &mut Rt) -> Result<Vec<VncInfo2>, Error> {
        Ok(super::vnc_info::query_vnc_servers(&rt.state))
    }

    fn qmp_query_spice(_: &mut Rt) -> Result<SpiceInfo, Error> {
        Ok(SpiceInfo {
            enabled: false,
            migrated: false,
            host: None,
            port: None,
            tls_port: None,
            auth: None,
            compiled_version: None,
            mouse_mode: SpiceQueryMouseMode::Client,
            channels: None,
        })
    }

    fn qmp_query_display_options(_: &mut Rt) -> Result<DisplayOptions, Error> {
        Ok(DisplayOptions {
            full_screen: None,
            window_close: None,
            show_cursor: None,
            gl: None,
            u: DisplayOptionsBranch::None,
        })
    }

    fn qmp_set_password(rt: &mut Rt, arg: SetPasswordOptions) -> Result<(), Error> {
        let keep = matches!(arg.connected, None | Some(SetPasswordAction::Keep));
        match arg.u {
            SetPasswordOptionsBranch::Spice => Err(Error::with_class(
                ErrorClass::DeviceNotActive,
                "SPICE is not in use",
            )),
            SetPasswordOptionsBranch::Vnc(_) if !keep => Err(Error::new(
                "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'",
            )),
            SetPasswordOptionsBranch::Vnc(vnc) => {
                super::vnc::set_password(rt, vnc.display.as_deref(), &arg.password)
            }
        }
    }
}

/// The places for processors as ACPI shows them, where it is one that tells of them.
fn processor_places(m: &Machine) -> Vec<ACPIOSTInfo> {
    if !m.profile.has_cpus_in_acpi() || !m.class.has_hotpluggable_cpus() {
        return Vec::new();
    }
    let places = m.cpu_slots().map_or(0, |slots| slots.len());
    let place = |slot: usize| ACPIOSTInfo {
        device: None,
        slot: slot.to_string(),
        slot_type: ACPISlotType::CPU,
        source: 0,
        status: 0,
    };
    (0..places).map(place).collect()
}

/// What an adapter takes in before a driver has said anything.
fn rx_filter(nic: &Client) -> RxFilterInfo {
    RxFilterInfo {
        name: nic.id.clone(),
        promiscuous: true,
        multicast: RxState::Normal,
        unicast: RxState::Normal,
        vlan: RxState::All,
        broadcast_allowed: true,
        multicast_overflow: false,
        unicast_overflow: false,
        main_mac: nic.mac.clone().unwrap_or_default(),
        vlan_table: (0..4096).rev().collect(),
        unicast_table: Vec::new(),
        multicast_table: Vec::new(),
    }
}

pub(super) fn text(text: &str) -> HumanReadableText {
    HumanReadableText {
        human_readable_text: text.to_owned(),
    }
}

/// The devices on USB, as `info usb` lists them.
///
/// # Errors
///
/// There is no USB.
pub(super) fn usb_page(m: &Machine) -> Result<String, Error> {
    if m.buses("usb-bus").is_empty() {
        return Err(Error::new("USB support not enabled"));
    }
    let mut page = String::new();
    for bus in m.buses("usb-bus") {
        for device in m.usb_devices_on(bus) {
            let class = m.class_name(device);
            page += &format!(
                "  Device 0.0, Port {}, Speed {} Mb/s, Product {}",
                m.str_property(device, "port"),
                m.usb_speed(device),
                product(class)
            );
            if let Some(id) = m.device_id(device) {
                page += &format!(", ID: {id}");
            }
            page.push('\n');
        }
    }
    Ok(page)
}

/// The memory of the machine, as `info ramblock` lists it.
pub(super) fn ramblock_page(m: &Machine) -> String {
    let mut page = format!(
        "{:>24} {:>8}  {:>18} {:>18} {:>18} {:>18} {:>3}\n",
        "Block Name", "PSize", "Offset", "Used", "Total", "HVA", "RO"
    );
    if let Some(name) = m.ram_name() {
        let size = m.ram_size();
        page += &format!(
            "{name:>24} {:>8}  0x{:016x} 0x{size:016x} 0x{size:016x} 0x{:016x} {:>3}\n",
            "4 KiB", 0, 0, "rw"
        );
    }
    page
}

/// The parts of virtio behind PCI, the latest first.
fn virtio_devices(m: &Machine) -> Vec<VirtioInfo> {
    let mut devices: Vec<_> = m
        .buses("PCI")
        .iter()
        .flat_map(|bus| m.devices_on(*bus))
        .collect();
    devices.sort_by_cached_key(|id| m.canonical_path(*id));
    let info = |id| {
        let class = m.object(id)?.class().class::<DeviceClass>()?;
        let (name, backend) = class.backend?;
        Some(VirtioInfo {
            path: m.canonical_path(m.child(id, name)?),
            name: backend.trim_end_matches("-device").to_owned(),
        })
    };
    devices.into_iter().filter_map(info).collect()
}
