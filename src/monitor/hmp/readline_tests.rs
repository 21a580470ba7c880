use proptest::prelude::*;

use super::super::testing::{type_at, Screen};
use super::super::READLINE_CMD_BUF_SIZE;
use super::*;

/// What typing draws, prompts included.
fn drawn(keys: &[u8]) -> Vec<u8> {
    let mut rl = Readline::new("(qemu) ");
    let mut out = Vec::new();
    type_at(&mut rl, keys, &mut out);
    out
}

#[track_caller]
fn expect_bytes(keys: &str, bytes: &str) {
    assert_eq!(
        String::from_utf8(drawn(keys.as_bytes())).expect("ASCII"),
        bytes,
        "for {keys:?}"
    );
}

#[test]
fn exact_bytes() {
    for (keys, bytes) in [
        ("ab", "a\x1b[K\x1b[Dab\x1b[K"),
        ("\x08\x7f", ""),
        ("a\x7f", "a\x1b[K\x1b[D\x1b[K"),
        ("a\x01", "a\x1b[K\x1b[D"),
        ("a\x01\x05", "a\x1b[K\x1b[D\x1b[C"),
        ("a\x01b", "a\x1b[K\x1b[Dba\x1b[K\x1b[D"),
        ("a\x0c", "a\x1b[K\x1b[2J\x1b[1;1H(qemu) a\x1b[K"),
        ("\x0c", "\x1b[2J\x1b[1;1H(qemu) "),
        ("a\n", "a\x1b[K\r\n(qemu) "),
        ("a\x01\n", "a\x1b[K\x1b[D\r\n(qemu) "),
        ("\r\n", "\r\n(qemu) \r\n(qemu) "),
    ] {
        expect_bytes(keys, bytes);
    }
}

/// What the terminal shows in its last row, cursor included.
#[test]
fn edits() {
    for (keys, line) in [
        ("abc\x1b[D\x1b[DX\x1b[CY", "aXbY|c"),
        ("ab\x1b[C\x1b[C\x1b[D\x1b[D\x1b[D\x1b[Dx", "x|ab"),
        ("abcd\x01\x04\x04", "|cd"),
        ("abc\x04\x04d", "abcd|"),
        ("hello world\x1b[D\x1b[D\x15x", "x|ld"),
        ("one two three\x17x", "one two x|"),
        ("abcd\x01\x1b[3~\x1b[C\x1b[3~", "b|d"),
        ("one\ntwo\n\x1b[A\x1b[A", "one|"),
        ("one\ntwo\n\x10\x10\x0e", "two|"),
        ("one\nabc\x1b[A\x1b[B", "|"),
        ("one\nabc\x1b[B", "abc|"),
        ("abc\x1b[A\x1b[B", "abc|"),
        ("one\n\x1b[Ax\x1b[A", "onex|"),
    ] {
        let screen = Screen::replay(&drawn(keys.as_bytes()));
        let row = screen.last_line();
        let row = row.strip_prefix("(qemu) ").unwrap_or(&row);
        let start = screen.last_line().len() - row.len();
        let mut got = row.to_string();
        got.insert(screen.column() - start, '|');
        assert_eq!(got, line, "for {keys:?}");
    }
}

#[test]
fn completion() {
    for (typed, candidates, line, listing) in [
        (
            "chardev-r",
            &["chardev-remove", "cont"][..],
            "chardev-remove |",
            "",
        ),
        ("stop", &["stop"], "stop |", ""),
        ("s", &["sub/"], "sub/|", ""),
        ("zzz", &["stop"], "zzz|", ""),
        ("", &["off", "on"], "o|", "off       on        \r\n"),
        (
            "x\x1b[D",
            &["off", "on", "on"],
            "o|x",
            "off       on        \r\n",
        ),
        (
            "system_",
            &["system_wakeup", "system_reset", "system_powerdown"],
            "system_|",
            "system_powerdown  system_reset      system_wakeup     \r\n",
        ),
    ] {
        let mut rl = Readline::new("> ");
        let mut out = Vec::new();
        type_at(&mut rl, typed.as_bytes(), &mut out);
        out.clear();
        assert_eq!(rl.handle_byte(b'\t', &mut out), ReadlineEvent::Complete);
        assert_eq!(out, b"");
        let word = rl.before_cursor().to_vec();
        rl.complete(&word, candidates, &mut out);
        let mut got = String::from_utf8_lossy(rl.line().text()).into_owned();
        got.insert(rl.line().cursor(), '|');
        assert_eq!(got, line, "for {typed:?}");
        let out = String::from_utf8_lossy(&out);
        if listing.is_empty() {
            assert!(!out.contains('\n'));
        } else {
            assert!(out.starts_with(&format!("\r\n{listing}> ")), "{out:?}");
            assert!(out.contains("\x1b[K"), "the line is drawn again: {out:?}");
        }
    }
}

#[test]
fn a_listing_fills_80_columns() {
    let names: Vec<String> = (0..9).map(|n| format!("name{n}")).collect();
    let mut rl = Readline::new("");
    let mut out = Vec::new();
    rl.complete(b"", &names, &mut out);
    let lines = Screen::replay(&out).lines();
    assert_eq!(lines[1].len(), 80);
    assert_eq!(lines[2], "name8     ");
    assert_eq!(lines[3], "name");
}

#[test]
fn a_name_wider_than_the_terminal_is_not_cut() {
    let long = "n".repeat(100);
    let mut rl = Readline::new("");
    let mut out = Vec::new();
    rl.complete(b"", ["a", &long], &mut out);
    let lines = Screen::replay(&out).lines();
    assert_eq!((lines[1].len(), lines[2].len()), (80, 100));
}

#[test]
fn only_256_candidates_count() {
    let names: Vec<String> = (0..300).map(|n| format!("{n:03}")).collect();
    let mut rl = Readline::new("");
    let mut out = Vec::new();
    rl.complete(b"", names.iter().rev(), &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    assert_eq!(text.split_whitespace().next(), Some("044"));
}

#[test]
fn restart_drops_the_line_and_a_half_read_sequence_but_no_history() {
    let mut rl = Readline::new("");
    type_at(&mut rl, b"one\ntwo\nthree\n\x1b[A\x1b[", &mut Vec::new());
    rl.restart();
    let mut out = Vec::new();
    rl.show_prompt(&mut out);
    type_at(&mut rl, b"A", &mut out);
    assert_eq!(out, b"A\x1b[K");
    type_at(&mut rl, b"\x1b[A", &mut out);
    assert_eq!(rl.line().text(), b"two", "the place in the history stays");
}

#[test]
fn a_full_line_drops_what_is_typed() {
    let mut rl = Readline::new("");
    let mut out = Vec::new();
    for _ in 0..READLINE_CMD_BUF_SIZE {
        out.clear();
        type_at(&mut rl, b"x", &mut out);
    }
    out.clear();
    type_at(&mut rl, b"y", &mut out);
    assert_eq!(out, b"");
    type_at(&mut rl, b"\x01y", &mut Vec::new());
    assert_eq!(rl.line().text(), [b'x'; READLINE_CMD_BUF_SIZE]);
    rl.complete(b"x", ["xyz"], &mut Vec::new());
    assert_eq!(rl.line().text().len(), READLINE_CMD_BUF_SIZE);
}

const SEQUENCES: &str = "\x1b\\[[ABCDEFH]|\x1b\\[[134]~|\x1bO[HF]|\x1b.|\x1b\\[1;5[CD]|[äě日]";

/// Bytes as they come from keyboards, thick with the interesting ones.
fn keyboard() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        4 => "[a-z ]{1,4}".prop_map(String::into_bytes),
        2 => (0u8..32).prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        3 => SEQUENCES.prop_map(String::into_bytes),
    ];
    prop::collection::vec(chunk, 0..60).prop_map(|chunks| chunks.concat())
}

proptest! {
    /// Whatever is typed, the terminal shows the line and the cursor is in
    /// the right column.
    #[test]
    fn the_screen_shows_the_line(
        keys in keyboard(),
        words in prop::collection::vec("[a-z/]{0,12}", 0..5),
    ) {
        let mut rl = Readline::new("(qemu) ");
        let (mut out, mut screen) = (Vec::new(), Screen::new());
        rl.show_prompt(&mut out);
        for byte in keys {
            match rl.handle_byte(byte, &mut out) {
                ReadlineEvent::None => {}
                ReadlineEvent::Line(_) => rl.show_prompt(&mut out),
                ReadlineEvent::Complete => {
                    let line = rl.before_cursor();
                    let start = line.iter().rposition(|b| *b == b' ').map_or(0, |i| i + 1);
                    let word = line[start..].to_vec();
                    rl.complete(&word, &words, &mut out);
                }
            }
            screen.show(&out);
            out.clear();
            let text: String = rl.line().text().iter().map(|&b| char::from(b)).collect();
            prop_assert_eq!(screen.last_line(), format!("(qemu) {text}"));
            prop_assert_eq!(screen.column(), 7 + rl.line().cursor());
        }
    }

    /// Full mode draws well-formed text only, and never loses the cursor.
    #[test]
    fn full_mode_keeps_the_line_whole(keys in keyboard()) {
        let mut rl = Readline::new("(qemu) ");
        rl.set_full(true);
        let mut out = Vec::new();
        for byte in keys {
            if let ReadlineEvent::Line(_) = rl.handle_byte(byte, &mut out) {
                rl.show_prompt(&mut out);
            }
            prop_assert!(std::str::from_utf8(rl.line().text()).is_ok());
            prop_assert!(std::str::from_utf8(rl.before_cursor()).is_ok());
        }
        prop_assert!(std::str::from_utf8(&out).is_ok());
    }
}
