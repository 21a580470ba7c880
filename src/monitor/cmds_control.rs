//! Session control: negotiation, what the server is and what it can.

use super::runtime::Runtime;
use super::schema::{
    ControlCommands, IntrospectCommands, QMPCapability, VersionInfo, VersionTriple,
};
use crate::member_name;
use crate::qapi::json::MemberName;
use crate::qapi::visit::OutputVisitor;
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

    fn qmp_query_version(rt: &mut Runtime<Self>) -> Result<VersionInfo, Error> {
        let [major, minor, micro] = rt.profile().version_numbers();
        Ok(VersionInfo {
            qemu: VersionTriple {
                major,
                minor,
                micro,
            },
            package: rt.identity.package.clone(),
        })
    }

    fn qmp_query_commands(rt: &mut Runtime<Self>, call: &mut Call<'_>) -> Result<(), Error> {
        call.no_args()?;
        call.ret_with(|v| {
            v.start_list(MemberName::NONE);
            for command in rt.commands.iter().rev() {
                v.start_struct(MemberName::NONE);
                v.type_str(member_name!("name"), command.name);
                v.end_struct();
            }
            v.end_list();
        });
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
