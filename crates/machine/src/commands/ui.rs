//! Keyboard, mouse, display and sound: `ui.json`. The machine has none of them.

use super::hmp::{fail, nothing, Cx};
use crate::model::display::Screen;
use crate::schema::{ImageFormat, IntWrapper, KeyValue, QKeyCode, QKeyCodeWrapper, UiCommands};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::{Error, ErrorClass, Responder};
use qmonitor::{Profile, Runtime};

impl UiCommands for Machine {
    /// The keys are lost, since no device takes them.
    fn qmp_send_key(
        _: &mut Runtime<Self>,
        _keys: Vec<KeyValue>,
        _hold_time: Option<i64>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn qmp_screendump(
        rt: &mut Runtime<Self>,
        filename: String,
        device: Option<String>,
        head: Option<i64>,
        format: Option<ImageFormat>,
        responder: Responder<()>,
    ) {
        let console = console(&rt.state, device.as_deref(), head);
        let drawn = console.and_then(|screen| draw(&screen, &filename, format));
        responder.respond(drawn);
    }
}

/// What an adapter shows.
///
/// # Errors
///
/// There is no such adapter, or none at all.
fn console(m: &Machine, device: Option<&str>, head: Option<i64>) -> Result<Screen, Error> {
    let Some(name) = device else {
        return match head {
            Some(_) => Err(Error::new(
                "'head' must be specified together with 'device'",
            )),
            None if m.has_display() => Ok(Screen::TEXT),
            None => Err(Error::new("There is no console to take a screendump from")),
        };
    };
    let id = m.find_device(name).ok_or_else(|| {
        let desc = format!("Device '{name}' not found");
        Error::with_class(ErrorClass::DeviceNotFound, desc)
    })?;
    let head = head.unwrap_or(0);
    if m.is_display(id) && head == 0 {
        Ok(Screen::TEXT)
    } else {
        Err(Error::new(format!(
            "Device '{name}' (head {head}) is not bound to a QemuConsole"
        )))
    }
}

fn draw(screen: &Screen, filename: &str, format: Option<ImageFormat>) -> Result<(), Error> {
    let failed =
        |e: std::io::Error| Error::from_io(format!("failed to open file '{filename}'"), &e);
    let file = std::fs::File::create(filename).map_err(failed)?;
    let mut file = std::io::BufWriter::new(file);
    let drawn = match format {
        Some(ImageFormat::Png) => screen.write_png(&mut file),
        _ => screen.write_ppm(&mut file),
    };
    let drawn = drawn.and_then(|()| std::io::Write::flush(&mut file));
    drawn.map_err(|e| Error::from_io("failed to write image", &e))
}

const PROTOCOL: HmpArg = HmpArg::new("protocol", Str);
const DISPLAY: HmpArg = HmpArg::new("display", FlagValue('d'));

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "client_migrate_info",
            "protocol hostname port tls-port cert-subject",
            "set migration information for remote display",
        )
        .args(&[
            HmpArg::new("protocol", Str),
            HmpArg::new("hostname", Str),
            HmpArg::new("port", Int32).optional(),
            HmpArg::new("tls-port", Int32).optional(),
            HmpArg::new("cert-subject", Str).optional(),
        ]),
        |hmp, args| match args.str("protocol") {
            "spice" => fail(hmp, "SPICE is not in use"),
            _ => fail(hmp, "Parameter 'protocol' expects 'spice'"),
        },
    ),
    (
        HmpRow::new(
            "expire_password",
            "protocol time [-d display]",
            "set spice/vnc password expire-time",
        )
        .args(&[PROTOCOL, HmpArg::new("time", Str), DISPLAY]),
        hmp_expire_password,
    ),
    (MOUSE_BUTTON.before(Profile::V11_1), nothing),
    (
        MOUSE_BUTTON
            .help("change mouse button state (1=L, 2=R, 4=M)")
            .since(Profile::V11_1),
        nothing,
    ),
    (
        HmpRow::new("mouse_move", "dx dy [dz]", "send mouse move events").args(&[
            HmpArg::new("dx_str", Str),
            HmpArg::new("dy_str", Str),
            HmpArg::new("dz_str", Str).optional(),
        ]),
        nothing,
    ),
    (
        HmpRow::new(
            "mouse_set",
            "index",
            "set which mouse device receives events",
        )
        .args(&[HmpArg::new("index", Int32)]),
        |hmp, args| {
            let index = args.int("index");
            fail(hmp, format!("Mouse at index '{index}' not found"));
        },
    ),
    (SCREENDUMP.before(Profile::V11_1), hmp_screendump),
    (
        SCREENDUMP
            .help(
                "save screen from head 'head' of display device 'device' in specified format \
                 'format' as image 'filename'. Currently only 'png' and 'ppm' formats are \
                 supported.",
            )
            .since(Profile::V11_1),
        hmp_screendump,
    ),
    (
        HmpRow::new(
            "sendkey",
            "keys [hold_ms]",
            "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
        )
        .args(&[
            HmpArg::new("keys", Str).completes(CompletionKind::Keys),
            HmpArg::new("hold_ms", Int32).optional(),
        ]),
        hmp_sendkey,
    ),
    (
        HmpRow::new(
            "set_password",
            "protocol password [-d display] [action-if-connected]",
            "set spice/vnc password",
        )
        .args(&[
            PROTOCOL,
            HmpArg::new("password", Str),
            DISPLAY,
            HmpArg::new("connected", Str).optional(),
        ]),
        hmp_set_password,
    ),
    (STOPCAPTURE.before(Profile::V11_1), hmp_stopcapture),
    (
        STOPCAPTURE
            .help("stop capture (deprecated)")
            .since(Profile::V11_1),
        hmp_stopcapture,
    ),
    (WAVCAPTURE.before(Profile::V11_1), hmp_wavcapture),
    (
        WAVCAPTURE
            .help(
                "capture audio to a wave file (deprecated, default frequency=44100 bits=16 \
                 channels=2)",
            )
            .since(Profile::V11_1),
        hmp_wavcapture,
    ),
];

const MOUSE_BUTTON: HmpRow = HmpRow::new(
    "mouse_button",
    "state",
    "change mouse button state (1=L, 2=M, 4=R)",
)
.args(&[HmpArg::new("button_state", Int32)]);

const SCREENDUMP: HmpRow = HmpRow::new(
    "screendump",
    "filename [-f format] [device [head]]",
    "save screen from head 'head' of display device 'device'in specified format 'format' \
     as image 'filename'.Currently only 'png' and 'ppm' formats are supported.",
)
.args(&[
    HmpArg::new("filename", File),
    HmpArg::new("format", FlagValue('f')),
    HmpArg::new("device", Str).optional(),
    HmpArg::new("head", Int32).optional(),
])
.coroutine();

const STOPCAPTURE: HmpRow =
    HmpRow::new("stopcapture", "capture index", "stop capture").args(&[HmpArg::new("n", Int32)]);

const WAVCAPTURE: HmpRow = HmpRow::new(
    "wavcapture",
    "path audiodev [frequency [bits [channels]]]",
    "capture audio to a wave file (default frequency=44100 bits=16 channels=2)",
)
.args(&[
    HmpArg::new("path", File),
    HmpArg::new("audiodev", Str),
    HmpArg::new("freq", Int32).optional(),
    HmpArg::new("bits", Int32).optional(),
    HmpArg::new("nchannels", Int32).optional(),
]);

const INFO_CAPTURE: HmpRow = HmpRow::new("capture", "", "show capture information");

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (INFO_CAPTURE.before(Profile::V11_1), hmp_info_capture),
    (
        INFO_CAPTURE
            .help("show capture information (deprecated)")
            .since(Profile::V11_1),
        hmp_info_capture,
    ),
    (
        HmpRow::new("mice", "", "show which guest mouse is receiving events"),
        hmp_info_mice,
    ),
    (
        HmpRow::new("spice", "", "show the spice server status"),
        |hmp, _| hmp.print("Server: disabled\n"),
    ),
    (
        HmpRow::new("vnc", "", "show the vnc server status"),
        |hmp, _| {
            let text = super::vnc::info_vnc(&hmp.rt.state);
            hmp.print(text);
        },
    ),
];

/// Keys by name or, after `0x`, by scan code, with `-` between. `<` is an old
/// name of `less`.
fn hmp_sendkey(hmp: Cx, args: &HmpArgs) {
    let mut keys = Vec::new();
    for name in args.str("keys").split('-') {
        let Some(key) = parse_key(name) else {
            return hmp.print(format!("invalid parameter: {name}\n"));
        };
        keys.push(key);
    }
    let result = Machine::qmp_send_key(hmp.rt, keys, args.try_int("hold_ms"));
    hmp.handle_error(result);
}

fn parse_key(name: &str) -> Option<KeyValue> {
    let name = match name {
        "<" => "less",
        name => name,
    };
    match name.strip_prefix("0x") {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => {
            let data = i32::from_str_radix(digits, 16).ok()?.into();
            Some(KeyValue::Number(IntWrapper { data }))
        }
        None => {
            let data: QKeyCode = name.parse().ok()?;
            Some(KeyValue::Qcode(QKeyCodeWrapper { data }))
        }
    }
}

fn hmp_screendump(hmp: Cx, args: &HmpArgs) {
    let format = match args
        .try_str("format")
        .map(|name| (name, name.parse::<ImageFormat>()))
    {
        None => None,
        Some((_, Ok(format))) => Some(format),
        Some((name, Err(_))) => return fail(hmp, format!("invalid parameter value: {name}")),
    };
    let console = console(&hmp.rt.state, args.try_str("device"), args.try_int("head"));
    let result = console.and_then(|screen| draw(&screen, args.str("filename"), format));
    hmp.handle_error(result);
}

/// Says once that recording sound is deprecated, where it is.
fn warn_of_capture(hmp: Cx, command: &'static str) {
    if hmp.rt.profile().deprecates_capture() && !hmp.rt.state.warned.contains(&command) {
        hmp.rt.state.warned.push(command);
        hmp.print(format!(
            "warning: '{command}' is deprecated since v10.2, to be removed\n"
        ));
    }
}

fn hmp_info_capture(hmp: Cx, _args: &HmpArgs) {
    warn_of_capture(hmp, "info capture");
}

fn hmp_stopcapture(hmp: Cx, _args: &HmpArgs) {
    warn_of_capture(hmp, "stopcapture");
}

fn hmp_wavcapture(hmp: Cx, args: &HmpArgs) {
    warn_of_capture(hmp, "wavcapture");
    let audiodev = args.str("audiodev");
    hmp.print(format!("audiodev '{audiodev}' not found\n"));
}

fn hmp_info_mice(hmp: Cx, _args: &HmpArgs) {
    hmp.print("No mouse devices connected\n");
}

/// The kind of display; prints an error if there is no such kind.
fn display(hmp: Cx, args: &HmpArgs) -> Option<&'static str> {
    match args.str("protocol") {
        "vnc" => Some("vnc"),
        "spice" => {
            fail(hmp, "SPICE is not in use");
            None
        }
        other => {
            fail(hmp, format!("invalid parameter value: {other}"));
            None
        }
    }
}

fn hmp_expire_password(hmp: Cx, args: &HmpArgs) {
    if display(hmp, args).is_none() {
        return;
    }
    let time = args.str("time");
    let digits = time.strip_prefix('+').unwrap_or(time);
    if matches!(time, "now" | "never") || digits.parse::<u64>().is_ok() {
        fail(hmp, "Could not set password expire time");
    } else {
        fail(hmp, format!("Parameter 'time' doesn't take value '{time}'"));
    }
}

fn hmp_set_password(hmp: Cx, args: &HmpArgs) {
    let connected = args.try_str("connected").unwrap_or("keep");
    if !["keep", "fail", "disconnect"].contains(&connected) {
        return fail(hmp, format!("invalid parameter value: {connected}"));
    }
    match (display(hmp, args), connected) {
        (None, _) => {}
        (Some(_), "keep") => {
            let refused = super::vnc::password_refused(hmp.rt, args.try_str("display"));
            hmp.handle_error::<()>(Err(refused));
        }
        (Some(_), _) => fail(
            hmp,
            "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_name_and_number() {
        for (text, code) in [("a", "a"), ("<", "less"), ("kp_0", "kp_0"), ("1", "1")] {
            match parse_key(text) {
                Some(KeyValue::Qcode(key)) => assert_eq!(key.data.as_str(), code),
                other => panic!("{text}: {other:?}"),
            }
        }
        for (text, number) in [("0x1e", 30), ("0x0", 0), ("0x7fffffff", 0x7fff_ffff)] {
            match parse_key(text) {
                Some(KeyValue::Number(key)) => assert_eq!(key.data, number),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "",
            "A",
            "30",
            "0x",
            "0X1e",
            "0x1x",
            "0x+1",
            "0xffffffffff",
            "<<",
        ] {
            assert!(parse_key(text).is_none(), "{text}");
        }
    }
}
