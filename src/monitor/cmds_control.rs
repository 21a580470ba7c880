//! Session control: negotiation, what the server is and what it can.

use super::runtime::Runtime;
use super::schema::{ControlCommands, IntrospectCommands, QMPCapability};
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
