//! `human-monitor-command` and `query-command-line-options`.

use super::hmp::run::run_line_for;
use super::runtime::Runtime;
use super::schema::{
    CommandLineOptionInfo, CommandLineParameterInfo, CommandLineParameterType, MiscCommands,
};
use crate::qapi::{Error, Responder};
use crate::util::qemu_opts::QemuOptType;

impl<S: 'static> MiscCommands for S {
    fn qmp_human_monitor_command(
        rt: &mut Runtime<Self>,
        command_line: String,
        cpu_index: Option<i64>,
        responder: Responder<String>,
    ) {
        if cpu_index.is_some_and(|index| !(rt.hmp.cpu_exists)(rt, index)) {
            let e = Error::new("Parameter 'cpu-index' expects a CPU number");
            return responder.respond(Err(e));
        }
        run_line_for(rt, command_line.as_bytes(), cpu_index, responder);
    }

    fn qmp_query_command_line_options(
        rt: &mut Runtime<Self>,
        option: Option<String>,
    ) -> Result<Vec<CommandLineOptionInfo>, Error> {
        let wanted = |name: &str| option.as_deref().is_none_or(|o| o == name);
        let found: Vec<_> = rt
            .options
            .iter()
            .filter(|group| wanted(group.name))
            .map(|group| CommandLineOptionInfo {
                option: group.name.to_owned(),
                parameters: group.parameters.iter().rev().map(parameter).collect(),
            })
            .collect();
        match option {
            Some(option) if found.is_empty() => {
                Err(Error::new(format!("invalid option name: {option}")))
            }
            _ => Ok(found),
        }
    }
}

fn parameter(desc: &(&'static str, QemuOptType)) -> CommandLineParameterInfo {
    CommandLineParameterInfo {
        name: desc.0.to_owned(),
        r#type: match desc.1 {
            QemuOptType::String => CommandLineParameterType::String,
            QemuOptType::Bool => CommandLineParameterType::Boolean,
            QemuOptType::Number => CommandLineParameterType::Number,
            QemuOptType::Size => CommandLineParameterType::Size,
        },
        help: None,
        default: None,
    }
}
