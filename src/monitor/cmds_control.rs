//! Session control: negotiation, what the server is and what it can.

use super::runtime::Runtime;
use super::schema::{
    CommandInfo, ControlCommands, IntrospectCommands, QMPCapability, VersionInfo, VersionTriple,
};
use crate::qapi::introspect::query_schema_of;
use crate::qapi::json::MemberName;
use crate::qapi::visit::{JsonOutputVisitor, QapiType};
use crate::qapi::{Call, Error, ErrorClass};

impl<S: 'static> ControlCommands for S {
    fn qmp_qmp_capabilities(
        rt: &mut Runtime<Self>,
        enable: Option<Vec<QMPCapability>>,
    ) -> Result<(), Error> {
        if rt
            .current_qmp()
            .is_some_and(|qmp| qmp.session.is_negotiated())
        {
            return Err(Error::with_class(
                ErrorClass::CommandNotFound,
                "Capabilities negotiation is already complete, command ignored",
            ));
        }
        // Every session offers `oob`, the only capability there is, so none
        // that the schema accepts can be refused.
        let oob = enable.is_some_and(|list| list.contains(&QMPCapability::Oob));
        if let Some(qmp) = rt.current_qmp() {
            qmp.session.negotiated(oob);
        }
        Ok(())
    }

    fn qmp_query_version(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        call.no_args()?;
        call.ret_raw(rt.query_version());
        Ok(())
    }

    fn qmp_query_commands(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        call.no_args()?;
        call.ret_raw(rt.query_commands());
        Ok(())
    }

    fn qmp_quit(rt: &mut Runtime<Self>) -> Result<(), Error> {
        rt.quit();
        Ok(())
    }
}

impl<S: 'static> IntrospectCommands for S {
    fn qmp_query_qmp_schema(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        call.no_args()?;
        call.ret_raw(rt.query_schema());
        Ok(())
    }
}

/// What is kept is made here.
impl<S: 'static> Runtime<S> {
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
