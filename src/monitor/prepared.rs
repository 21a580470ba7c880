//! Replies that stay the same for long: each is made when it is asked for first, and kept as
//! JSON until what it tells changes.

use super::runtime::Runtime;
use super::schema::{CommandInfo, VersionInfo, VersionTriple};
use crate::qapi::introspect::query_schema_of;
use crate::qapi::json::qobject_to_json;
use crate::qapi::visit::to_qobject;
use crate::qapi::QObject;

/// The replies, in compact form.
#[derive(Default)]
pub(crate) struct Prepared {
    schema: Option<Vec<u8>>,
    commands: Option<Vec<u8>>,
    version: Option<Vec<u8>>,
}

fn to_json(value: &QObject) -> Vec<u8> {
    qobject_to_json(value, false).into_bytes()
}

impl<S: 'static> Runtime<S> {
    /// Has the replies made anew: the commands, the profile or the identity changes.
    pub(super) fn forget_prepared(&mut self) {
        self.prepared = Prepared::default();
    }

    /// What `query-qmp-schema` returns.
    pub(crate) fn query_schema(&mut self) -> &[u8] {
        let (schemas, policy, commands) = (&self.schemas, self.policy, &self.commands);
        let has_command = |name: &str| commands.get(name).is_some();
        let make = || to_json(&query_schema_of(schemas, policy, has_command));
        self.prepared.schema.get_or_insert_with(make)
    }

    /// What `query-commands` returns.
    pub(crate) fn query_commands(&mut self) -> &[u8] {
        let commands = &self.commands;
        self.prepared.commands.get_or_insert_with(|| {
            let info = |name: &str| CommandInfo {
                name: name.to_owned(),
            };
            let list: Vec<_> = commands.iter().rev().map(|c| info(c.name)).collect();
            to_json(&to_qobject(&list))
        })
    }

    /// What `query-version` returns.
    pub(crate) fn query_version(&mut self) -> &[u8] {
        if self.prepared.version.is_none() {
            let info = to_qobject(&self.version_info());
            self.prepared.version = Some(to_json(&info));
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
