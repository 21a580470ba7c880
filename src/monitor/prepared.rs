//! What sessions are told and what stays the same for long: it is made when it is asked for
//! first, and kept until what it tells changes.

use super::runtime::Runtime;
use super::schema::{CommandInfo, VersionInfo, VersionTriple};
use crate::qapi::introspect::query_schema_of;
use crate::qapi::json::{JsonWriter, MemberName};
use crate::qapi::visit::{JsonOutputVisitor, QapiType};

/// Replies, in compact form, and the greeting in both forms, with its line end.
#[derive(Default)]
pub(crate) struct Prepared {
    schema: Option<Vec<u8>>,
    commands: Option<Vec<u8>>,
    version: Option<Vec<u8>>,
    compact_greeting: Option<Vec<u8>>,
    pretty_greeting: Option<Vec<u8>>,
}

impl Prepared {
    /// The greeting of a QMP session.
    pub(super) fn greeting(&mut self, pretty: bool) -> &[u8] {
        let version = self.version.as_deref().unwrap_or_default();
        let line = if pretty {
            &mut self.pretty_greeting
        } else {
            &mut self.compact_greeting
        };
        line.get_or_insert_with(|| write_greeting(pretty, version))
    }
}

fn write_greeting(pretty: bool, version: &[u8]) -> Vec<u8> {
    let mut w = JsonWriter::new(pretty);
    w.begin_object();
    w.key("QMP");
    w.begin_object();
    w.key("version");
    w.raw(version);
    w.key("capabilities");
    w.begin_array();
    w.string("oob");
    w.end_array();
    w.end_object();
    w.end_object();
    w.newline();
    w.take()
}

impl<S: 'static> Runtime<S> {
    /// Has all of it made anew: the commands, the profile or the identity changes.
    pub(super) fn forget_prepared(&mut self) {
        self.prepared = Prepared::default();
    }

    fn to_json<T: QapiType>(&self, value: &T) -> Vec<u8> {
        let mut w = self.json_writer(false);
        value.visit_out(
            &mut JsonOutputVisitor::new(&mut w, self.policy),
            MemberName::NONE,
        );
        w.take()
    }

    /// What `query-qmp-schema` returns.
    pub(crate) fn query_schema(&mut self) -> &[u8] {
        if self.prepared.schema.is_none() {
            let has_command = |name: &str| self.commands.get(name).is_some();
            let mut w = self.json_writer(false);
            w.qobject(&query_schema_of(&self.schemas, self.policy, has_command));
            self.prepared.schema = Some(w.take());
        }
        self.prepared.schema.as_deref().unwrap_or_default()
    }

    /// What `query-commands` returns.
    pub(crate) fn query_commands(&mut self) -> &[u8] {
        if self.prepared.commands.is_none() {
            let info = |name: &str| CommandInfo {
                name: name.to_owned(),
            };
            let commands = self.commands.iter().rev();
            let list: Vec<_> = commands.map(|command| info(command.name)).collect();
            self.prepared.commands = Some(self.to_json(&list));
        }
        self.prepared.commands.as_deref().unwrap_or_default()
    }

    /// What `query-version` returns, and the greeting tells.
    pub(crate) fn query_version(&mut self) -> &[u8] {
        if self.prepared.version.is_none() {
            self.prepared.version = Some(self.to_json(&self.version_info()));
        }
        self.prepared.version.as_deref().unwrap_or_default()
    }

    /// The version, as `query-version` and `info version` tell it.
    pub(crate) fn version_info(&self) -> VersionInfo {
        let [major, minor, micro] = self.profile().version_numbers();
        VersionInfo {
            qemu: VersionTriple {
                major,
                minor,
                micro,
            },
            package: self.identity.package.clone(),
        }
    }
}
