use super::super::testing::text;
use super::super::testing_rows::table;
use super::super::HmpRow;

#[track_caller]
fn help(topic: &str, preconfig: bool) -> String {
    text(&table().help(topic.as_bytes(), preconfig).expect("words"))
}

#[test]
fn help_for_one_command() {
    for (topic, line) in [
        ("stop", "stop|s  -- stop emulation"),
        ("s", "stop|s  -- stop emulation"),
        ("stop nosuch", "stop|s  -- stop emulation"),
        ("\"stop\"x y", "stop|s  -- stop emulation"),
        ("?", "help|? [cmd] -- show the help"),
        (
            "p",
            "print|p /fmt expr -- print expression value (use $reg for CPU register access)",
        ),
        (
            "info status x",
            "info status  -- show the current VM status (running|paused)",
        ),
        (
            "\"info\" \"status\"",
            "info status  -- show the current VM status (running|paused)",
        ),
        (
            "qom-set",
            "qom-set [-j] path property value -- set QOM property.\n\
             \t\t\t-j: the value is specified in json format.",
        ),
        ("nosuch more", "unknown command: 'nosuch'"),
        ("info nosuch", "unknown command: 'info nosuch'"),
        ("info \"\"", "unknown command: 'info '"),
        ("\"info status\"", "unknown command: 'info status'"),
        ("/x", "unknown command: '/x'"),
        ("\"\"", "unknown command: ''"),
    ] {
        assert_eq!(help(topic, false), format!("{line}\n"), "{topic:?}");
    }
}

#[test]
fn help_for_all() {
    let all = help("", false);
    assert!(all.starts_with("announce_self [interfaces] [id] -- Trigger GARP"));
    assert!(all.contains("\ninfo [subcommand] -- show various"));
    let info = help("info", false);
    assert!(info.starts_with("info balloon  -- show balloon information\n"));
    let table = table();
    let info_commands = table.find(b"info").and_then(|info| info.sub.as_ref());
    let count = info_commands.map(|table| table.commands().len());
    assert_eq!(Some(info.lines().count()), count);
}

#[test]
fn help_before_the_machine_exists() {
    assert_eq!(help("stop", true), "unknown command: 'stop'\n");
    assert_eq!(
        help("info registers", true),
        "unknown command: 'info registers'\n"
    );
    assert!(!help("", true).contains("stop|s"));
    assert!(help("info", true).starts_with("info chardev "));
}

#[test]
fn help_that_cannot_be_split_is_silent() {
    assert_eq!(
        table().help(b"\"sto", false),
        Err(b"unterminated string\n".to_vec())
    );
    assert_eq!(
        table().help("a ".repeat(17).as_bytes(), false),
        Err(Vec::new())
    );
}

#[test]
fn an_embedder_adds_sub_commands() {
    let mut table = table();
    let row = HmpRow::new("lunar-phase", "", "show the phase of the moon");
    table.sub_mut("info").expect("sub-commands").add(row, ());
    assert_eq!(
        text(&table.help(b"info lunar-phase", false).expect("words")),
        "info lunar-phase  -- show the phase of the moon\n"
    );
}
