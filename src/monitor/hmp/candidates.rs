//! The names that TAB offers, looked up in the runtime.

use super::{Completion, CompletionKind, CompletionSource};
use crate::monitor::hmp_qmp_complete;
use crate::monitor::runtime::Runtime;

/// What TAB offers.
pub(crate) fn candidates<S>(rt: &Runtime<S>, completion: &Completion) -> Vec<Vec<u8>> {
    let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
    match &completion.source {
        CompletionSource::Names(names) => names.iter().map(|n| n.as_bytes().to_vec()).collect(),
        CompletionSource::Kind(kind) => match kind {
            CompletionKind::Files => files(&completion.word),
            kind => bytes(names_of_kind(rt, *kind, completion)),
        },
    }
}

fn names_of_kind<S>(rt: &Runtime<S>, kind: CompletionKind, completion: &Completion) -> Vec<String> {
    let labels = |wanted: &dyn Fn(&str) -> bool| {
        let all = rt.chardevs.iter();
        let some = all.filter(|(_, c)| wanted(c.kind()));
        some.map(|(_, c)| c.label().to_owned()).collect()
    };
    match kind {
        CompletionKind::ChardevIds => labels(&|_| true),
        CompletionKind::Ringbufs => labels(&|kind| matches!(kind, "ringbuf" | "memory")),
        CompletionKind::ChardevTypes => {
            let backends = rt.chardevs.backends().into_iter();
            backends.map(str::to_owned).collect()
        }
        CompletionKind::QmpCommands => {
            let all = rt.commands.iter();
            all.map(|command| command.name.to_owned()).collect()
        }
        CompletionKind::QmpArguments => {
            hmp_qmp_complete::arguments(rt.schemas(), &completion.args, &completion.word)
        }
        CompletionKind::TraceEvents => {
            let all = crate::trace::ALL.iter();
            all.map(|e| e.name.to_owned()).collect()
        }
        kind => {
            let mut known = rt.hmp.completions.iter();
            known
                .find_map(|f| f(rt, kind, completion))
                .unwrap_or_default()
        }
    }
}

/// File names that start with `word`; directories end in `/`.
fn files(word: &[u8]) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let split = word.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
    let (dir, _) = word.split_at(split);
    let place = match dir {
        [] => std::path::Path::new("."),
        dir => std::path::Path::new(std::ffi::OsStr::from_bytes(dir)),
    };
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let name = |entry: std::fs::DirEntry| {
        let mut name = dir.to_vec();
        let is_dir = std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
        name.extend(entry.file_name().into_vec());
        if is_dir {
            name.push(b'/');
        }
        name
    };
    entries.flatten().map(name).collect()
}
