//! What could come next on a line for the human monitor.
//!
//! The server completes its own monitor only for the terminal that it has itself, so
//! all is taken from what it prints for `help`, and what it answers to queries.

use crate::schema::{Kind, Schema};

/// The commands of the human monitor, `info NAME` among them.
#[derive(Default)]
pub struct Commands {
    rows: Vec<Row>,
}

/// One name of a command.
struct Row {
    name: String,
    params: Vec<String>,
    flags: Vec<Flag>,
}

struct Flag {
    name: String,
    takes_value: bool,
}

/// What only the running server can tell.
#[derive(Debug, PartialEq)]
pub enum Source {
    Chardevs,
    BlockDevices,
    NetClients,
    /// The children of an object.
    Children(String),
    Properties(String),
    /// Types of objects that are derived from this one.
    Types(&'static str),
    Processors,
    TraceEvents,
}

/// Asks the server; names, or nothing if it cannot tell.
pub type Ask<'a> = &'a mut dyn FnMut(Source) -> Vec<String>;

impl Commands {
    /// From the text of `help` and `help info`: `name|alias arguments -- text`, a line
    /// each.
    pub fn new(help: &str) -> Commands {
        let mut rows = Vec::new();
        for (line, _) in help.lines().filter_map(|line| line.split_once(" -- ")) {
            let line = line.trim_start();
            let (group, line) = match line.strip_prefix("info ") {
                Some(rest) if !rest.starts_with('[') => ("info ", rest),
                _ => ("", line),
            };
            let (names, rest) = line.split_once(' ').unwrap_or((line, ""));
            for name in names.split(['|', '[']).filter(|name| !name.is_empty()) {
                rows.push(Row::new(format!("{group}{name}"), rest));
            }
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows.dedup_by(|a, b| a.name == b.name);
        Commands { rows }
    }

    /// Completions of the word that ends at the end of `line`: where the word, or the
    /// part of it that is completed, begins, and what it can be.
    pub fn candidates(&self, line: &str, schema: &Schema, ask: Ask<'_>) -> (usize, Vec<String>) {
        let begin = line.rfind(' ').map_or(0, |blank| blank + 1);
        let word = &line[begin..];
        let given: Vec<&str> = line[..begin].split_whitespace().collect();
        let found = match given[..] {
            [] => self.names("").collect(),
            ["info"] => self.names("info ").collect(),
            ["help" | "?"] => self.names("").collect(),
            ["help" | "?", "info"] => self.names("info ").collect(),
            _ => return self.argument(&given, begin, word, schema, ask),
        };
        (begin, fitting(found, word))
    }

    /// The names in a group, without its own.
    fn names<'a>(&'a self, group: &'a str) -> impl Iterator<Item = String> + 'a {
        let rows = self.rows.iter();
        let names = rows.filter_map(move |row| row.name.strip_prefix(group));
        names.filter(|name| !name.contains(' ')).map(str::to_owned)
    }

    fn argument(
        &self,
        given: &[&str],
        begin: usize,
        word: &str,
        schema: &Schema,
        ask: Ask<'_>,
    ) -> (usize, Vec<String>) {
        let of = |count: usize| {
            let name = given.get(..count)?.join(" ");
            self.rows.iter().find(|row| row.name == name)
        };
        let Some((row, arguments)) = of(2)
            .map(|row| (row, &given[2..]))
            .or_else(|| of(1).map(|row| (row, &given[1..])))
        else {
            return (begin, Vec::new());
        };
        let place = row.place(arguments);
        // Keys that are pressed together have dashes between them.
        let (begin, word) = match (row.name.as_str(), word.rfind('-')) {
            ("sendkey", Some(dash)) => (begin + dash + 1, &word[dash + 1..]),
            _ => (begin, word),
        };
        let mut found = match place.param {
            Some(param) => row.values(param, &place.before, word, schema, ask),
            None => Vec::new(),
        };
        if !place.is_flag_value {
            let unused = row.flags.iter().map(|flag| flag.name.clone());
            found.extend(unused.filter(|name| !arguments.contains(&name.as_str())));
        }
        (begin, fitting(found, word))
    }
}

/// Where the next argument of a line stands.
struct Place<'a> {
    param: Option<&'a str>,
    /// The arguments before it, without flags.
    before: Vec<&'a str>,
    is_flag_value: bool,
}

impl Row {
    fn new(name: String, text: &str) -> Row {
        let (mut params, mut flags) = (Vec::new(), Vec::new());
        for part in text.split(['[', ']']) {
            let mut words = part.split_whitespace().peekable();
            if words.peek().is_some_and(|word| word.starts_with('-')) {
                let names = words.next().unwrap_or_default();
                let takes_value = words.next().is_some();
                flags.extend(names.split('|').map(|name| Flag {
                    name: name.to_owned(),
                    takes_value,
                }));
            } else {
                // Some rows repeat the name.
                let words = words.filter(|word| *word != name);
                params.extend(words.map(str::to_owned));
            }
        }
        Row {
            name,
            params,
            flags,
        }
    }

    fn place<'a>(&'a self, arguments: &[&'a str]) -> Place<'a> {
        let (mut before, mut is_flag_value) = (Vec::new(), false);
        for argument in arguments {
            let flag = self.flags.iter().find(|flag| flag.name == *argument);
            match flag {
                _ if is_flag_value => is_flag_value = false,
                Some(flag) => is_flag_value = flag.takes_value,
                None => before.push(*argument),
            }
        }
        let param = self.params.get(before.len()).map(String::as_str);
        Place {
            param: param.filter(|_| !is_flag_value),
            before,
            is_flag_value,
        }
    }

    /// What an argument can be.
    fn values(
        &self,
        param: &str,
        before: &[&str],
        word: &str,
        schema: &Schema,
        ask: Ask<'_>,
    ) -> Vec<String> {
        let name = self.name.as_str();
        let path = || before.first().copied().unwrap_or_default().to_owned();
        let is_of = |groups: &[&str]| groups.iter().any(|group| name.starts_with(group));
        match (name, param) {
            ("device_add", _) => ask(Source::Types("device")),
            ("object_add", _) => ask(Source::Types("user-creatable")),
            ("device_del", _) => ask(Source::Children("/machine/peripheral".into())),
            ("object_del", _) => ask(Source::Children("/objects".into())),
            ("set_link", "name") => ask(Source::NetClients),
            ("netdev_del", _) => ask(Source::NetClients),
            ("trace-event", "name") => ask(Source::TraceEvents),
            ("cpu", _) => ask(Source::Processors),
            ("sendkey", "keys") => enum_of(schema, "send-key", &["keys", "data", "data"]),
            ("migrate_set_capability", "capability") => {
                let path = ["capabilities", "capability"];
                enum_of(schema, "migrate-set-capabilities", &path)
            }
            ("migrate_set_capability", "state") => on_or_off(),
            ("migrate_set_parameter", "parameter") => {
                arguments_of(schema, "migrate-set-parameters")
            }
            ("qom-get" | "qom-set", "property") => ask(Source::Properties(path())),
            (_, "path") if is_of(&["qom-", "info qom-"]) => paths(word, ask),
            (_, "id" | "device") if is_of(&["chardev-", "ringbuf_"]) => ask(Source::Chardevs),
            (_, "device") if is_of(&["info block"]) => ask(Source::BlockDevices),
            (_, "device") if !name.starts_with("info ") => ask(Source::BlockDevices),
            (_, "filename" | "file" | "target") => files(word),
            _ => alternatives(param),
        }
    }
}

fn fitting(mut found: Vec<String>, word: &str) -> Vec<String> {
    found.retain(|candidate| candidate.starts_with(word));
    found.sort();
    found.dedup();
    found
}

fn on_or_off() -> Vec<String> {
    vec!["on".into(), "off".into()]
}

/// `on|off` as the help writes it.
fn alternatives(param: &str) -> Vec<String> {
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !param.contains('|') {
        return Vec::new();
    }
    param.split('|').filter(plain).map(str::to_owned).collect()
}

fn arguments_of(schema: &Schema, command: &str) -> Vec<String> {
    let Some(arguments) = schema.arguments_of(command) else {
        return Vec::new();
    };
    let members = schema.members(arguments, &|_| None).into_iter();
    members.map(|member| member.name).collect()
}

/// The values of the enum at a path of a command's arguments, through lists, and
/// through the variant `qcode` where there are any.
fn enum_of(schema: &Schema, command: &str, path: &[&str]) -> Vec<String> {
    let Some(mut type_name) = schema.arguments_of(command).map(str::to_owned) else {
        return Vec::new();
    };
    for name in path {
        let members = schema.members(&type_name, &|_| Some("qcode".to_owned()));
        let Some(member) = members.into_iter().find(|member| member.name == *name) else {
            return Vec::new();
        };
        type_name = match schema.kind(&member.type_name) {
            Kind::Array(element) => element,
            _ => member.type_name,
        };
    }
    match schema.kind(&type_name) {
        Kind::Enum(values) => values,
        _ => Vec::new(),
    }
}

/// Paths of objects: the children of the one that the word has come to.
fn paths(word: &str, ask: Ask<'_>) -> Vec<String> {
    let Some(slash) = word.rfind('/') else {
        return vec!["/".to_owned()];
    };
    let parent = if slash == 0 { "/" } else { &word[..slash] };
    let children = ask(Source::Children(parent.to_owned())).into_iter();
    children
        .map(|child| format!("{}{child}", &word[..=slash]))
        .collect()
}

/// Files of this host, which is the server's where the socket is one of files.
fn files(word: &str) -> Vec<String> {
    let (dir, shown) = match word.rfind('/') {
        Some(slash) => (&word[..=slash], &word[..=slash]),
        None => ("./", ""),
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let end = if entry.path().is_dir() { "/" } else { "" };
        format!("{shown}{}{end}", entry.file_name().to_string_lossy())
    };
    entries.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::schema;

    const HELP: &str = "\
block_resize device size -- resize
device_del device -- remove
dump-guest-memory [-p] [-z|-l] filename [begin length] -- dump
help|? [cmd] -- show help
info [subcommand] -- show
quit|q  -- quit
screendump filename [-f format] [device [head]] -- save
set_link name on|off -- change
info block [-n] [-v] [device] -- show
info name  -- show
qom-get path property -- print
no help
";

    /// A server that has one of each.
    fn server(source: Source) -> Vec<String> {
        let names: &[&str] = match &source {
            Source::Children(path) if path == "/machine/peripheral" => &["d0"],
            Source::Children(path) if path == "/" => &["chardevs", "machine"],
            Source::Properties(path) if path == "/machine" => &["type"],
            Source::BlockDevices => &["disk0", "disk1"],
            Source::NetClients => &["n0"],
            _ => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_argument_has_its_candidates() {
        let commands = Commands::new(HELP);
        for (line, begin, expected) in [
            ("q", 0, &["q", "qom-get", "quit"][..]),
            ("help set", 5, &["set_link"]),
            ("help info n", 10, &["name"]),
            ("info ", 5, &["block", "name"]),
            ("info block ", 11, &["-n", "-v", "disk0", "disk1"]),
            ("info block -n -", 14, &["-v"]),
            ("info block disk0 ", 17, &["-n", "-v"]),
            ("block_resize disk1", 13, &["disk1"]),
            ("block_resize disk1 ", 19, &[]),
            ("device_del ", 11, &["d0"]),
            ("set_link n", 9, &["n0"]),
            ("set_link n0 o", 12, &["off", "on"]),
            ("dump-guest-memory -p -", 21, &["-l", "-z"]),
            ("screendump a.ppm -f ", 20, &[]),
            ("screendump a.ppm -f png ", 24, &["disk0", "disk1"]),
            ("qom-get ", 8, &["/"]),
            ("qom-get /m", 8, &["/machine"]),
            ("qom-get /machine ", 17, &["type"]),
            ("nope ", 5, &[]),
            ("info nope ", 10, &[]),
        ] {
            let (at, found) = commands.candidates(line, &schema(), &mut server);
            assert_eq!(found, expected, "{line:?}");
            assert_eq!(at, begin, "{line:?}");
        }
    }

    #[test]
    fn files_are_those_of_the_directory() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
        let line = format!("screendump {dir}main.");
        let (_, found) = Commands::new(HELP).candidates(&line, &schema(), &mut server);
        assert_eq!(found, [format!("{dir}main.rs")]);
    }
}
