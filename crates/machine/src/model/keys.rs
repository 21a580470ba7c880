//! Keys: their names, their numbers in the set of scan codes of the first PC, what the keyboard
//! of a PC sends for them (set 2), and which a number of X11 means.

use crate::schema::{KeyValue, QKeyCode};

/// What a key that is not on the first keyboard has before its code.
const EXTENDED: u8 = 0xe0;
const RELEASED: u8 = 0xf0;

/// Name, number, code; a number from 0x80 on is that of an extended key.
const KEYS: &[(&str, u8, u8)] = &[
    ("esc", 0x01, 0x76),
    ("1", 0x02, 0x16),
    ("2", 0x03, 0x1e),
    ("3", 0x04, 0x26),
    ("4", 0x05, 0x25),
    ("5", 0x06, 0x2e),
    ("6", 0x07, 0x36),
    ("7", 0x08, 0x3d),
    ("8", 0x09, 0x3e),
    ("9", 0x0a, 0x46),
    ("0", 0x0b, 0x45),
    ("minus", 0x0c, 0x4e),
    ("equal", 0x0d, 0x55),
    ("backspace", 0x0e, 0x66),
    ("tab", 0x0f, 0x0d),
    ("q", 0x10, 0x15),
    ("w", 0x11, 0x1d),
    ("e", 0x12, 0x24),
    ("r", 0x13, 0x2d),
    ("t", 0x14, 0x2c),
    ("y", 0x15, 0x35),
    ("u", 0x16, 0x3c),
    ("i", 0x17, 0x43),
    ("o", 0x18, 0x44),
    ("p", 0x19, 0x4d),
    ("bracket_left", 0x1a, 0x54),
    ("bracket_right", 0x1b, 0x5b),
    ("ret", 0x1c, 0x5a),
    ("ctrl", 0x1d, 0x14),
    ("a", 0x1e, 0x1c),
    ("s", 0x1f, 0x1b),
    ("d", 0x20, 0x23),
    ("f", 0x21, 0x2b),
    ("g", 0x22, 0x34),
    ("h", 0x23, 0x33),
    ("j", 0x24, 0x3b),
    ("k", 0x25, 0x42),
    ("l", 0x26, 0x4b),
    ("semicolon", 0x27, 0x4c),
    ("apostrophe", 0x28, 0x52),
    ("grave_accent", 0x29, 0x0e),
    ("shift", 0x2a, 0x12),
    ("backslash", 0x2b, 0x5d),
    ("z", 0x2c, 0x1a),
    ("x", 0x2d, 0x22),
    ("c", 0x2e, 0x21),
    ("v", 0x2f, 0x2a),
    ("b", 0x30, 0x32),
    ("n", 0x31, 0x31),
    ("m", 0x32, 0x3a),
    ("comma", 0x33, 0x41),
    ("dot", 0x34, 0x49),
    ("slash", 0x35, 0x4a),
    ("shift_r", 0x36, 0x59),
    ("kp_multiply", 0x37, 0x7c),
    ("asterisk", 0x37, 0x7c),
    ("alt", 0x38, 0x11),
    ("spc", 0x39, 0x29),
    ("caps_lock", 0x3a, 0x58),
    ("f1", 0x3b, 0x05),
    ("f2", 0x3c, 0x06),
    ("f3", 0x3d, 0x04),
    ("f4", 0x3e, 0x0c),
    ("f5", 0x3f, 0x03),
    ("f6", 0x40, 0x0b),
    ("f7", 0x41, 0x83),
    ("f8", 0x42, 0x0a),
    ("f9", 0x43, 0x01),
    ("f10", 0x44, 0x09),
    ("num_lock", 0x45, 0x77),
    ("scroll_lock", 0x46, 0x7e),
    ("kp_7", 0x47, 0x6c),
    ("kp_8", 0x48, 0x75),
    ("kp_9", 0x49, 0x7d),
    ("kp_subtract", 0x4a, 0x7b),
    ("kp_4", 0x4b, 0x6b),
    ("kp_5", 0x4c, 0x73),
    ("kp_6", 0x4d, 0x74),
    ("kp_add", 0x4e, 0x79),
    ("kp_1", 0x4f, 0x69),
    ("kp_2", 0x50, 0x72),
    ("kp_3", 0x51, 0x7a),
    ("kp_0", 0x52, 0x70),
    ("kp_decimal", 0x53, 0x71),
    ("less", 0x56, 0x61),
    ("f11", 0x57, 0x78),
    ("f12", 0x58, 0x07),
    ("kp_enter", 0x9c, 0x5a),
    ("ctrl_r", 0x9d, 0x14),
    ("kp_divide", 0xb5, 0x4a),
    ("alt_r", 0xb8, 0x11),
    ("home", 0xc7, 0x6c),
    ("up", 0xc8, 0x75),
    ("pgup", 0xc9, 0x7d),
    ("left", 0xcb, 0x6b),
    ("right", 0xcd, 0x74),
    ("end", 0xcf, 0x69),
    ("down", 0xd0, 0x72),
    ("pgdn", 0xd1, 0x7a),
    ("insert", 0xd2, 0x70),
    ("delete", 0xd3, 0x71),
    ("meta_l", 0xdb, 0x1f),
    ("meta_r", 0xdc, 0x27),
    ("compose", 0xdd, 0x2f),
];

/// What the keyboard sends when a key goes down or up.
pub(crate) fn scan_codes(key: &KeyValue, down: bool) -> Vec<u8> {
    let find = |wanted: &dyn Fn(&(&str, u8, u8)) -> bool| KEYS.iter().find(|key| wanted(key));
    let found = match key {
        KeyValue::Number(number) => find(&|key| i64::from(key.1) == number.data),
        KeyValue::Qcode(code) => match (code.data.as_str(), down) {
            // These two send codes of their own; the first sends nothing when it goes up.
            ("pause", true) => return vec![0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77],
            ("print" | "sysrq", true) => return vec![EXTENDED, 0x12, EXTENDED, 0x7c],
            ("print" | "sysrq", false) => {
                return vec![EXTENDED, RELEASED, 0x7c, EXTENDED, RELEASED, 0x12];
            }
            (name, _) => find(&|key| key.0 == name),
        },
    };
    let Some((_, number, code)) = found else {
        return Vec::new();
    };
    let mut codes = Vec::new();
    if *number >= 0x80 {
        codes.push(EXTENDED);
    }
    if !down {
        codes.push(RELEASED);
    }
    codes.push(*code);
    codes
}

/// Signs with keys of names, as an American keyboard has them.
const SIGNS: &[(&str, &str)] = &[
    (" ", "spc"),
    ("-_", "minus"),
    ("=+", "equal"),
    ("[{", "bracket_left"),
    ("]}", "bracket_right"),
    (";:", "semicolon"),
    ("'\"", "apostrophe"),
    ("`~", "grave_accent"),
    ("\\|", "backslash"),
    (",<", "comma"),
    (".>", "dot"),
    ("/?", "slash"),
    ("!", "1"),
    ("@", "2"),
    ("#", "3"),
    ("$", "4"),
    ("%", "5"),
    ("^", "6"),
    ("&", "7"),
    ("*", "8"),
    ("(", "9"),
    (")", "0"),
];

/// Numbers of X11 that are no signs.
const SYMBOLS: &[(u32, &str)] = &[
    (0xff08, "backspace"),
    (0xff09, "tab"),
    (0xff0d, "ret"),
    (0xff13, "pause"),
    (0xff14, "scroll_lock"),
    (0xff15, "sysrq"),
    (0xff1b, "esc"),
    (0xff50, "home"),
    (0xff51, "left"),
    (0xff52, "up"),
    (0xff53, "right"),
    (0xff54, "down"),
    (0xff55, "pgup"),
    (0xff56, "pgdn"),
    (0xff57, "end"),
    (0xff61, "print"),
    (0xff63, "insert"),
    (0xff67, "compose"),
    (0xff7f, "num_lock"),
    (0xff8d, "kp_enter"),
    (0xffaa, "kp_multiply"),
    (0xffab, "kp_add"),
    (0xffad, "kp_subtract"),
    (0xffae, "kp_decimal"),
    (0xffaf, "kp_divide"),
    (0xffe1, "shift"),
    (0xffe2, "shift_r"),
    (0xffe3, "ctrl"),
    (0xffe4, "ctrl_r"),
    (0xffe5, "caps_lock"),
    (0xffe9, "alt"),
    (0xffea, "alt_r"),
    (0xffeb, "meta_l"),
    (0xffec, "meta_r"),
    (0xffff, "delete"),
];

/// The key that a number of X11 means.
pub(crate) fn key_of_symbol(symbol: u32) -> Option<QKeyCode> {
    let sign = char::from_u32(symbol).filter(char::is_ascii_graphic);
    let sign = sign.or((symbol == 0x20).then_some(' '));
    let name = match (symbol, sign) {
        (_, Some(sign)) if sign.is_ascii_alphanumeric() => sign.to_ascii_lowercase().to_string(),
        (_, Some(sign)) => SIGNS
            .iter()
            .find(|(signs, _)| signs.contains(sign))?
            .1
            .into(),
        // F1 to F12, and the digits of the keypad.
        (0xffbe..=0xffc9, _) => format!("f{}", symbol - 0xffbd),
        (0xffb0..=0xffb9, _) => format!("kp_{}", symbol - 0xffb0),
        _ => {
            let found = SYMBOLS.iter().find(|(number, _)| *number == symbol);
            found?.1.into()
        }
    };
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{IntWrapper, QKeyCodeWrapper};

    fn codes(name: &str, down: bool) -> Vec<u8> {
        let data = name.parse().unwrap();
        scan_codes(&KeyValue::Qcode(QKeyCodeWrapper { data }), down)
    }

    #[test]
    fn all_names_are_keys() {
        for name in KEYS.iter().map(|key| key.0) {
            assert!(!codes(name, true).is_empty(), "{name}");
        }
        for name in SYMBOLS.iter().map(|s| s.1).chain(SIGNS.iter().map(|s| s.1)) {
            assert!(!codes(name, true).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_key_sends_what_a_keyboard_sends() {
        assert_eq!(codes("a", true), [0x1c]);
        assert_eq!(codes("a", false), [0xf0, 0x1c]);
        assert_eq!(codes("ctrl_r", false), [0xe0, 0xf0, 0x14]);
        assert_eq!(codes("pause", false), [0; 0]);
        let number = |data| KeyValue::Number(IntWrapper { data });
        assert_eq!(scan_codes(&number(30), true), [0x1c]);
        assert_eq!(scan_codes(&number(0x9d), true), [0xe0, 0x14]);
        assert_eq!(scan_codes(&number(99_999), true), [0; 0]);
    }

    #[test]
    fn symbols_of_x11_are_keys() {
        for (symbol, name) in [
            (0x61, "a"),
            (0x41, "a"),
            (0x20, "spc"),
            (0x3f, "slash"),
            (0xff0d, "ret"),
            (0xffc9, "f12"),
            (0xffb5, "kp_5"),
        ] {
            assert_eq!(key_of_symbol(symbol).unwrap().as_str(), name);
        }
        assert!(key_of_symbol(0x20ac).is_none());
    }
}
