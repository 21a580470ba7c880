//! Completion of the arguments of HMP commands.

use super::{log, qom};
use crate::model::types::user_creatable_types;
use crate::schema::{NetClientDriver, QKeyCode, WatchdogAction};
use crate::Machine;
use qmonitor::monitor::hmp::{Completion, CompletionKind};
use qmonitor::Runtime;

/// All words that an argument of this kind can be.
pub(super) fn complete(
    rt: &Runtime<Machine>,
    kind: CompletionKind,
    typed: &Completion,
) -> Option<Vec<String>> {
    match kind {
        CompletionKind::ObjectTypes => {
            let types = user_creatable_types(rt.profile());
            Some(types.into_iter().map(str::to_owned).collect())
        }
        CompletionKind::ObjectIds => {
            let ids = rt.state.user_objects();
            Some(ids.map(|(name, _)| name.to_owned()).collect())
        }
        CompletionKind::WatchdogActions => {
            let all = WatchdogAction::ALL.iter();
            Some(all.map(|a| a.as_str().to_owned()).collect())
        }
        CompletionKind::NetdevTypes => {
            let policy = rt.policy();
            let all = NetClientDriver::ALL.iter();
            let all = all.filter(|d| policy.has(d.features()));
            Some(all.map(|d| d.as_str().to_owned()).collect())
        }
        CompletionKind::NetdevIds | CompletionKind::NetClients => {
            Some(rt.state.net.ports().map(|p| p.id.clone()).collect())
        }
        CompletionKind::Keys => {
            let all = QKeyCode::ALL.iter();
            Some(all.map(|k| k.as_str().to_owned()).collect())
        }
        CompletionKind::QomPaths => Some(qom::complete_path(rt, &typed.word)),
        CompletionKind::QomProperties => {
            let path = typed.args.last().map_or(&b""[..], Vec::as_slice);
            Some(qom::complete_property(rt, path))
        }
        CompletionKind::LogItems => Some(log::complete_items(&typed.word)),
        _ => None,
    }
}
