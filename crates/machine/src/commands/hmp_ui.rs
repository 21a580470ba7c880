//! HMP commands about keyboard and display.

use super::no_console;
use crate::schema::{ImageFormat, IntWrapper, KeyValue, QKeyCode, QKeyCodeWrapper, UiCommands};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "screendump",
            "filename [-f format] [device [head]]",
            "save screen from head 'head' of display device 'device'in specified format \
         'format' as image 'filename'.Currently only 'png' and 'ppm' formats are \
         supported.",
        )
        .args(&[
            HmpArg::new("filename", File),
            HmpArg::new("format", FlagValue('f')),
            HmpArg::new("device", Str).optional(),
            HmpArg::new("head", Int32).optional(),
        ])
        .coroutine(),
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
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("mice", "", "show which guest mouse is receiving events"),
    hmp_info_mice,
)];

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

/// There is no display, so that there is nothing to wait for, as the QMP
/// command may have to.
fn hmp_screendump(hmp: Cx, args: &HmpArgs) {
    let format = args.try_str("format");
    let unknown = format.filter(|name| name.parse::<ImageFormat>().is_err());
    let e = match unknown {
        Some(name) => Error::new(format!("invalid parameter value: {name}")),
        None => no_console(args.try_str("device"), args.try_int("head")),
    };
    hmp.handle_error(Err::<(), _>(e));
}

fn hmp_info_mice(hmp: Cx, _args: &HmpArgs) {
    hmp.print("No mouse devices connected\n");
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
