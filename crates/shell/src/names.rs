//! The names that the running server knows, for completion.

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};

use crate::hmp::Source;
use crate::session::Session;

impl Session {
    /// The names of a kind; none if the server cannot tell.
    pub fn names(&mut self, source: Source) -> Vec<String> {
        match source {
            Source::Chardevs => self.members("query-chardev", &[], "label"),
            Source::BlockDevices => self.members("query-block", &[], "device"),
            Source::Processors => self.members("query-cpus-fast", &[], "cpu-index"),
            Source::TraceEvents => {
                self.members("trace-event-get-state", &[("name", "*".into())], "name")
            }
            Source::Types(base) => {
                let arguments = [("implements", base.into()), ("abstract", false.into())];
                self.members("qom-list-types", &arguments, "name")
            }
            Source::Children(path) => self.properties(&path, true),
            Source::Properties(path) => self.properties(&path, false),
            Source::NetClients => {
                let line = ("command-line", "info network".into());
                match self.ask("human-monitor-command", &[line]) {
                    Some(QObject::String(text)) => clients(text.as_str()),
                    _ => Vec::new(),
                }
            }
        }
    }

    /// A member of each object in the list that a command returns.
    fn members(
        &mut self,
        command: &str,
        arguments: &[(&str, QObject)],
        member: &str,
    ) -> Vec<String> {
        let list = self.ask(command, arguments);
        let list = list.as_ref().and_then(QObject::as_list).unwrap_or(&[]);
        let values = list.iter().filter_map(|item| item.as_dict()?.get(member));
        let texts = values.map(|value| match value {
            QObject::String(text) => text.as_str().to_owned(),
            other => qobject_to_json(other, false),
        });
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The properties of an object that are its children, or those that are not.
    fn properties(&mut self, path: &str, children: bool) -> Vec<String> {
        let list = self.ask("qom-list", &[("path", path.into())]);
        let list = list.as_ref().and_then(QObject::as_list).unwrap_or(&[]);
        let items = list.iter().filter_map(QObject::as_dict);
        let is_wanted = |item: &&QDict| {
            let kind = item.get_str("type").unwrap_or_default();
            kind.starts_with("child<") == children
        };
        let names = items
            .filter(is_wanted)
            .filter_map(|item| item.get_str("name"));
        names.map(str::to_owned).collect()
    }
}

/// The names in `info network`: `n0: index=0,type=user,...`, with `\ ` before those
/// that have a peer above.
fn clients(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.split_once(": index="));
    names
        .map(|(name, _)| name.trim_start_matches([' ', '\\']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_stand_before_their_index() {
        let text = "n0: index=0,type=nic,model=e1000\r\n \\ net0: index=0,type=user\r\nother\r\n";
        assert_eq!(clients(text), ["n0", "net0"]);
    }
}
