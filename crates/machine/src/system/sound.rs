//! Sound: `-audiodev` and `-audio`. Nothing is ever played, so what plays it is kept and
//! shown.

use super::cli::json_object;
use crate::model::AudioBackend;
use crate::schema::{AudiodevAlsaPerDirectionOptions, AudiodevPerDirectionOptions};
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};
use qmonitor::Profile;

/// What QEMU can play on, and the package that has it if it is not there.
const DRIVERS: &[(&str, Option<&str>)] = &[
    ("none", None),
    ("alsa", None),
    ("dbus", Some("qemu-system-modules-opengl")),
    ("jack", Some("qemu-system-gui")),
    ("oss", None),
    ("pa", None),
    ("pipewire", None),
    ("sdl", Some("qemu-system-gui")),
    ("spice", Some("qemu-system-modules-spice")),
    ("wav", None),
];

/// Sound cards by the names of `-audio model=`, with their models and descriptions.
const CARDS: &[(&str, &str, &str)] = &[
    ("ac97", "AC97", "Intel 82801AA AC97 Audio"),
    ("adlib", "adlib", "Yamaha YM3812 (OPL2)"),
    ("cs4231a", "cs4231a", "CS4231A"),
    ("es1370", "ES1370", "ENSONIQ AudioPCI ES1370"),
    ("gus", "gus", "Gravis Ultrasound GF1"),
    ("hda", "intel-hda", "Intel HD Audio"),
    ("pcspk", "isa-pcspk", "PC speaker"),
    ("sb16", "sb16", "Creative Sound Blaster 16"),
    ("virtio", "virtio-sound-pci", "Virtio Sound"),
];

/// Reads the argument of `-audiodev`.
///
/// # Errors
///
/// There is no such driver, or it is not installed with QEMU.
pub(super) fn audiodev(profile: Profile, arg: &str) -> Result<AudioBackend, Error> {
    let options = if arg.starts_with('{') {
        json_object(profile, arg)?
    } else {
        keyval_parse(arg, Some("driver"))?
    };
    read(&options, arg.starts_with('{'))
}

/// Reads the argument of `-audio`, the model of a sound card in it, too.
///
/// # Errors
///
/// As [`audiodev`], or there is no such card.
pub(super) fn audio(
    arg: &str,
    number: usize,
) -> Result<(AudioBackend, Option<&'static str>), Error> {
    let mut options = keyval_parse(arg, Some("driver"))?;
    let card = match options.remove("model") {
        Some(QObject::String(name)) => Some(find_card(&name)?),
        _ => None,
    };
    if options.get_str("id").is_none() {
        let id = if card.is_some() { "audiodev0" } else { "#none" };
        options.insert("id", format!("{id}{number}"));
    }
    Ok((read(&options, false)?, card))
}

fn find_card(name: &str) -> Result<&'static str, Error> {
    let row = CARDS.iter().find(|(known, ..)| *known == name);
    row.map(|(_, model, _)| *model).ok_or_else(|| {
        let lines = CARDS
            .iter()
            .map(|(name, _, text)| format!("{name:<11} {text}\n"));
        let list: String = lines.collect();
        Error::new(format!("Unknown sound card name `{name}'"))
            .with_hint(format!("Valid sound card names (comma separated):\n{list}"))
    })
}

fn read(options: &QDict, is_json: bool) -> Result<AudioBackend, Error> {
    let required = |name: &str| {
        let missing = || Error::new(format!("Parameter '{name}' is missing"));
        options.get_str(name).ok_or_else(missing)
    };
    let id = required("id")?.to_owned();
    let driver = required("driver")?;
    let Some((driver, package)) = DRIVERS.iter().find(|(known, _)| *known == driver) else {
        return Err(Error::new(format!(
            "Parameter 'driver' does not accept value '{driver}'"
        )));
    };
    let known = ["id", "driver", "timer-period", "in", "out"];
    let of_driver = [
        "path",
        "server",
        "dev",
        "exclusive",
        "try-mmap",
        "try-poll",
        "dsp-policy",
    ];
    let is_known =
        |name: &str| known.contains(&name) || *driver != "none" && of_driver.contains(&name);
    let mut names = options.iter().map(|(name, _)| name);
    if let Some(name) = names.find(|name| !is_known(name)) {
        return Err(Error::new(format!("Parameter '{name}' is unexpected")));
    }
    check_directions(options, driver, is_json)?;
    Ok(AudioBackend {
        id,
        driver,
        package: *package,
    })
}

/// Checks what belongs to recording and to playing, by the schema; then what of it contradicts.
fn check_directions(options: &QDict, driver: &str, is_json: bool) -> Result<(), Error> {
    let mut v = if is_json {
        InputVisitor::new(options.clone().into(), CompatPolicy::default())
    } else {
        InputVisitor::new_keyval(options.clone(), CompatPolicy::default())
    };
    v.start_struct("")?;
    for name in ["in", "out"] {
        match (options.get(name), driver) {
            (None, _) => {}
            (_, "none" | "wav") => {
                check_mixing(&AudiodevPerDirectionOptions::visit_in(&mut v, name)?)?;
            }
            (_, "alsa") => drop(AudiodevAlsaPerDirectionOptions::visit_in(&mut v, name)?),
            _ => {}
        }
    }
    if options.get("timer-period").is_some() {
        u32::visit_in(&mut v, "timer-period")?;
    }
    Ok(())
}

fn check_mixing(options: &AudiodevPerDirectionOptions) -> Result<(), Error> {
    let is_fixed = options.fixed_settings.unwrap_or(true);
    if options.mixing_engine == Some(false) && options.fixed_settings == Some(true) {
        return Err(Error::new("You can't use fixed-settings without mixeng"));
    }
    let has_settings =
        options.frequency.is_some() || options.channels.is_some() || options.format.is_some();
    if !is_fixed && has_settings {
        let desc = "You can't use frequency, channels or format with fixed-settings=off";
        return Err(Error::new(desc));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_and_cards_have_qemus_names() {
        let made = audiodev(Profile::V10_0, "pa,id=a,out.mixing-engine=off").unwrap();
        assert_eq!((made.id.as_str(), made.driver), ("a", "pa"));
        assert_eq!(audio("none,model=hda", 0).unwrap().1, Some("intel-hda"));
        for (arg, desc) in [
            ("none", "Parameter 'id' is missing"),
            ("foo,id=a", "Parameter 'driver' does not accept value 'foo'"),
            ("none,id=a,foo=1", "Parameter 'foo' is unexpected"),
        ] {
            assert_eq!(audiodev(Profile::V10_0, arg).unwrap_err().desc(), desc);
        }
        let e = audio("none,model=foo", 0).unwrap_err();
        assert_eq!(e.desc(), "Unknown sound card name `foo'");
    }
}
