//! A fuzzer's input as a script for clients. Most bytes are sent as they are,
//! so a corpus can be read, and made from recordings. Other steps use the bytes
//! that UTF-8 text never has.

/// One thing that a client does or that happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// From now on its input arrives in pieces of that many bytes; 0 is whole.
    Split(u8),
    /// Leaves without waiting for anything, and another client comes.
    Leave,
    /// Waits for all its answers, leaves, and another client comes.
    LeaveAnswered,
    /// Time passes.
    Wait(u8),
    /// The program emits an event.
    Emit(u8),
    /// The oldest deferred command is answered.
    Answer,
    /// The latest deferred command is given up.
    Drop,
    /// From now on it takes that much output.
    Limit(u8),
    /// The other client acts from here on.
    Switch,
    /// The loop turns once. Before all other steps it turns until it is idle.
    Turn,
}

/// Reads a script; the byte after 0xff is sent as it is.
pub fn read(data: &[u8]) -> impl Iterator<Item = Step> + '_ {
    let mut bytes = data.iter().copied().peekable();
    std::iter::from_fn(move || {
        let mut sent = Vec::new();
        while let Some(byte) = bytes.next_if(|byte| matches!(byte, 0..=0xf4 | 0xff)) {
            sent.push(match byte {
                0xff => bytes.next().unwrap_or(0),
                byte => byte,
            });
        }
        if !sent.is_empty() {
            return Some(Step::Send(sent));
        }
        let code = bytes.next()?;
        let mut argument = || bytes.next().unwrap_or(0);
        Some(match code {
            0xf5 => Step::Split(argument()),
            0xf6 => Step::Leave,
            0xf7 => Step::LeaveAnswered,
            0xf8 => Step::Wait(argument()),
            0xf9 => Step::Emit(argument()),
            0xfa => Step::Answer,
            0xfb => Step::Drop,
            0xfc => Step::Limit(argument()),
            0xfd => Step::Switch,
            _ => Step::Turn,
        })
    })
}
